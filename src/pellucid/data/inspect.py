"""Inspects a folder or a table of pictures: counts, sizes, unreadable files and duplicates."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pellucid.data.duplicates import Fingerprint, exact_duplicates, near_duplicates, read_fingerprinted
from pellucid.data.entries import Entry, list_entries
from pellucid.progress import ProgressBar

UNBALANCED = 3
"""Ratio of the largest class to the smallest one above which the classes are reported as unbalanced."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of an inspection.

    entries: the readable pictures; sizes: width and height of each; unreadable: the error of each of the others, and of damaged versions;
    exact: groups of identical files; near: pairs of similar pictures; other_sizes: pairs whose damaged version has another size.
    """

    entries: list[Entry]
    sizes: list[tuple[int, int]]
    unreadable: dict[Path, str]
    exact: list[list[Entry]]
    near: list[list[Entry]]
    other_sizes: list[Entry] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """Number of pictures by split and class."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in self.entries:
            counts[entry.split or "all"][entry.label or "without a label"] += 1
        return dict(counts)

    def lines(self, most: int = 10) -> list[str]:
        """The result as lines of text, with all unreadable files, and at most `most` examples of each other kind."""
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
        lines += _examples("unreadable", [f"{path}: {reason}" for path, reason in self.unreadable.items()], len(self.unreadable))
        if self.other_sizes:
            lines += _examples("damaged versions of another size", [str(entry.damaged) for entry in self.other_sizes], most)
        for what, groups in (("exact duplicates", self.exact), ("near duplicates", self.near)):
            marked = sorted(((_remark(group), " = ".join(str(entry.path) for entry in group)) for group in groups), reverse=True)
            lines += _examples(what, [f"{paths}{remark}" for remark, paths in marked], most)
        return lines


def _remark(group: Sequence[Entry]) -> str:
    """A remark on duplicates in several splits, which leak training images into the test set, or in several classes."""
    wrong = [
        f"different {what}"
        for what, names in (("splits", {entry.split for entry in group}), ("classes", {entry.label for entry in group}))
        if len(names) > 1
    ]
    return f"  (in {' and '.join(wrong)})" if wrong else ""


def inspect(source: Path) -> Findings:
    """Inspect all pictures of a folder or a table."""
    entries = list_entries(source)
    readable: list[Entry] = []
    fingerprints: list[Fingerprint] = []
    sizes: list[tuple[int, int]] = []
    unreadable: dict[Path, str] = {}
    other_sizes: list[Entry] = []
    with ProgressBar("pictures read") as progress, ThreadPoolExecutor() as pool:
        for number, (entry, outcomes) in enumerate(zip(entries, pool.map(_read, entries), strict=True), 1):
            read = [outcome for outcome in outcomes.values() if not isinstance(outcome, str)]
            unreadable |= {path: outcome for path, outcome in outcomes.items() if isinstance(outcome, str)}
            if len(read) == len(outcomes):
                (size, fingerprint), *damaged = read
                readable.append(entry)
                sizes.append(size)
                fingerprints.append(fingerprint)
                other_sizes += [entry for other_size, _ in damaged if other_size != size]
            progress(number, len(entries))
    exact = [[readable[index] for index in group] for group in exact_duplicates(fingerprints)]
    near = [[readable[index] for index in pair] for pair in near_duplicates(fingerprints)]
    return Findings(readable, sizes, unreadable, exact, near, other_sizes)


def _read(entry: Entry) -> dict[Path, tuple[tuple[int, int], Fingerprint] | str]:
    """Width, height and fingerprint of a picture and of its damaged version, if it has one, or the error of each."""
    paths = [path for path in (entry.path, entry.damaged) if path is not None]
    return {path: read_fingerprinted(path, lambda picture: (picture.shape[1], picture.shape[0])) for path in paths}


def _examples(what: str, examples: Sequence[str], most: int) -> list[str]:
    more = [f"  and {len(examples) - most:,} more"] if len(examples) > most else []
    return [f"{what}: {len(examples):,}", *(f"  {example}" for example in examples[:most]), *more]
