"""Progress of a long task: a bar on a terminal, a plain line every half minute elsewhere."""

import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import Progress

INTERVAL = 30.0
"""Seconds between two plain lines."""


class Heartbeat:
    """Prints a plain line at intervals where a progress bar can not be shown.

    Args:
        console: nothing is printed if it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last = time.monotonic()

    def beat(self, line: Callable[[], str]) -> None:
        """Print the line if the interval has passed."""
        if time.monotonic() - self.last >= INTERVAL:
            self.print(line())

    def print(self, line: str) -> None:
        """Print the line at once."""
        if not self.console.is_terminal:
            self.last = time.monotonic()
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class ProgressBar:
    """A progress bar over images or pictures, shown from the first call on; call it with the number done and the total.

    Args:
        what: description of the task.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.console = Console(soft_wrap=True)
        self.progress = Progress(console=self.console, disable=not self.console.is_terminal)
        self.heartbeat = Heartbeat(self.console)
        self.task = self.progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, done: int, total: int) -> None:
        """Move the bar."""
        self.progress.start()
        self.progress.update(self.task, completed=done, total=total)
        self.heartbeat.beat(lambda: f"{self.what}: {done:,} of {total:,}")

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
