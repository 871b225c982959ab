"""Reports of runs and of comparisons.

A report consists of blocks (`blocks.py`), which `render.py` renders as an HTML page and as Markdown. `run_report.py` builds the report of a
run, `comparison_report.py` that of a comparison. Pages are self-contained, without scripts or external resources.

    >>> from pellucid.reporting import write_report
    >>> write_report(folder, network, metadata, splits.test, evaluation)  # doctest: +SKIP
    PosixPath('runs/demo/report.html')
"""

from pellucid.reporting.run_report import write_report

__all__ = ["write_report"]
