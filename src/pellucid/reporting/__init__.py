"""Reports of runs and of comparisons.

A report is built of blocks (`blocks.py`), which `render.py` lays out as one HTML page or as Markdown. `run_report.py` builds that of a run,
`comparison_report.py` that of a comparison. A page is one file without a script, and nothing in it is fetched from anywhere.

    >>> from pellucid.reporting import write_report
    >>> write_report(folder, network, metadata, splits.test, evaluation)  # doctest: +SKIP
    PosixPath('runs/demo/report.html')
"""

from pellucid.reporting.run_report import write_report

__all__ = ["write_report"]
