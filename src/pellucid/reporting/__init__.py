"""What a run came to, on one page that anyone can open.

`page.py` has the pieces of HTML and the style that they share, `drawing.py` makes charts into parts of a page, `gallery.py` has the sample
of restored pictures, `curves.py` the course of the training, and `report.py` lays them out. The page is one file without a script, and
nothing in it is fetched from anywhere.

    >>> from pellucid.reporting import write_report
    >>> write_report(folder, network, description, splits.test, evaluation)  # doctest: +SKIP
    PosixPath('runs/demo/report.html')
"""

from pellucid.reporting.report import write_report

__all__ = ["write_report"]
