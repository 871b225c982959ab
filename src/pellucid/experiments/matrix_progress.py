"""Progress of a matrix of runs, and the time left."""

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from pellucid.training.log import read_log


class MatrixProgress:
    """The progress of a matrix of runs, as a renderable table of arms x seeds.

    Args:
        runs: arm, seed and log file of every run.
        unfinished: arm and seed of the unfinished runs.
    """

    def __init__(self, runs: Sequence[tuple[str, int, Path]], unfinished: set[tuple[str, int]]) -> None:
        self.logs = {(arm, seed): log for arm, seed, log in runs}
        self.unfinished = set(unfinished)
        self.running: set[tuple[str, int]] = set()
        self.failed: set[tuple[str, int]] = set()
        self.before = {run: self._progress(run) for run in unfinished}
        self.started = time.monotonic()

    def start(self, arm: str, seed: int) -> None:
        """Mark a run as running."""
        self.running.add((arm, seed))

    def finish(self, arm: str, seed: int) -> None:
        """Mark a run as finished."""
        self.running.discard((arm, seed))
        self.unfinished.discard((arm, seed))

    def fail(self, arm: str, seed: int) -> None:
        """Mark a run as failed; it no longer counts as remaining work."""
        self.finish(arm, seed)
        self.failed.add((arm, seed))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, and a line with the elapsed and the remaining time."""
        seeds = sorted({seed for _, seed in self.logs})
        table = Table("arm", *(f"seed {seed}" for seed in seeds))
        for arm in dict.fromkeys(arm for arm, _ in self.logs):
            table.add_row(arm, *(self._cell((arm, seed)) for seed in seeds))
        yield table
        yield Text(self.line())

    def line(self) -> str:
        """The number of finished runs, the elapsed and the remaining time."""
        passed = time.monotonic() - self.started
        left = self.seconds_left(passed)
        done = len(self.logs) - len(self.unfinished) - len(self.failed)
        gone = f"{_clock(passed)} gone, {_clock(left) + ' left' if left is not None else 'time left not known yet'}"
        return f"{done} of {len(self.logs)} runs done, {gone}"

    def state(self, arm: str, seed: int) -> str:
        """The state of a run, in a word."""
        return Text.from_markup(self._cell((arm, seed))).plain

    def _cell(self, run: tuple[str, int]) -> str:
        if run not in self.logs:
            return ""
        if run in self.failed:
            return "[red]failed[/]"
        if run not in self.unfinished:
            return "[green]done[/]"
        progress = self._progress(run)
        return f"[bold]{progress:.0%}[/]" if run in self.running else "waiting" if not progress else f"stopped at {progress:.0%}"

    def seconds_left(self, passed: float) -> float | None:
        """Estimated remaining time, from the progress of this call's trainings in the elapsed time."""
        trained = {run: before for run, before in self.before.items() if run not in self.failed}
        done = sum((self._progress(run) if run in self.unfinished else 1.0) - before for run, before in trained.items())
        todo = sum(1.0 - self._progress(run) for run in self.unfinished)
        return passed * todo / done if done > 0.02 else None

    def _progress(self, run: tuple[str, int]) -> float:
        records = read_log(self.logs[run])
        return float(records[-1].get("progress", 0.0)) if records else 0.0


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
