"""What is in a folder or a table of pictures: counts, sizes, what can't be read, and duplicates."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid import pictures
from pellucid.data.duplicates import Looks, exact_duplicates, looks_of, near_duplicates
from pellucid.data.entries import Entry, list_entries
from pellucid.errors import UserError
from pellucid.progress import ProgressBar

UNBALANCED = 3
"""Ratio of the largest class to the smallest one from which on it is told."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    entries: the pictures that can be read; sizes: width and height of each; unreadable: the reason for each of the others; exact: groups
    of files with the same bytes; near: pairs of files that look alike.
    """

    entries: list[Entry]
    sizes: list[tuple[int, int]]
    unreadable: dict[Path, str]
    exact: list[list[Entry]]
    near: list[list[Entry]]

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """By split, how many pictures each class has."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in self.entries:
            counts[entry.split or "all"][entry.label or "without a label"] += 1
        return dict(counts)

    def lines(self, most: int = 10) -> list[str]:
        """The findings in words, with at most so many examples of each kind."""
        lines = []
        for split, counts in self.counts.items():
            named = ", ".join(f"{label} {number:,}" for label, number in sorted(counts.items()))
            lines.append(f"{split}: {counts.total():,} pictures: {named}")
            labelled = [number for label, number in counts.items() if label != "without a label"]
            if len(labelled) > 1 and max(labelled) > UNBALANCED * min(labelled):
                lines.append(f"  unbalanced: the largest class has {max(labelled) / min(labelled):.1f} times as many as the smallest")
        if num_pairs := sum(entry.damaged is not None for entry in self.entries):
            lines.append(f"{num_pairs:,} of them with a damaged version")
        if self.sizes:
            widths, heights = np.array(self.sizes).T
            lines.append(
                f"width x height: {len(set(self.sizes)):,} sizes, from {widths.min()} x {heights.min()} to {widths.max()} x "
                f"{heights.max()}, median {np.median(widths):.0f} x {np.median(heights):.0f}; shorter side at least "
                f"{np.minimum(widths, heights).min()}"
            )
        lines += _examples("unreadable", [f"{path}: {reason}" for path, reason in self.unreadable.items()], most)
        for what, groups in (("exact duplicates", self.exact), ("near duplicates", self.near)):
            marked = sorted(((_remark(group), " = ".join(str(entry.path) for entry in group)) for group in groups), reverse=True)
            lines += _examples(what, [f"{paths}{remark}" for remark, paths in marked], most)
        return lines


def _remark(group: Sequence[Entry]) -> str:
    """What is wrong with duplicates: in several splits, a model is measured on what it was trained on; in several classes, misled."""
    wrong = [
        f"different {what}"
        for what, names in (("splits", {entry.split for entry in group}), ("classes", {entry.label for entry in group}))
        if len(names) > 1
    ]
    return f"  (in {' and '.join(wrong)})" if wrong else ""


def inspect(source: Path) -> Findings:
    """Read all pictures of a folder or a table."""
    entries = list_entries(source)
    readable: list[Entry] = []
    looks: list[Looks] = []
    sizes: list[tuple[int, int]] = []
    unreadable: dict[Path, str] = {}
    with ProgressBar("pictures read") as progress, ThreadPoolExecutor() as pool:
        for number, (entry, outcome) in enumerate(zip(entries, pool.map(_look, (entry.path for entry in entries)), strict=True), 1):
            if isinstance(outcome, str):
                unreadable[entry.path] = outcome
            else:
                readable.append(entry)
                sizes.append(outcome[0])
                looks.append(outcome[1])
            progress(number, len(entries))
    exact = [[readable[index] for index in group] for group in exact_duplicates(looks)]
    near = [[readable[index] for index in pair] for pair in near_duplicates(looks)]
    return Findings(readable, sizes, unreadable, exact, near)


def _look(path: Path) -> tuple[tuple[int, int], Looks] | str:
    """Width, height and looks of a picture, or why it can't be read."""
    try:
        picture = pictures.read(path)
        return (picture.shape[1], picture.shape[0]), looks_of(picture, path.read_bytes())
    except UserError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)


def _examples(what: str, examples: Sequence[str], most: int) -> list[str]:
    more = [f"  and {len(examples) - most:,} more"] if len(examples) > most else []
    return [f"{what}: {len(examples):,}", *(f"  {example}" for example in examples[:most]), *more]
