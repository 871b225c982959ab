"""The user's own data set: a folder or a table of pictures, as `Splits`."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset, Splits
from pellucid.data.duplicates import Fingerprint, groups_of_duplicates
from pellucid.data.entries import Entry, list_entries
from pellucid.data.photos import Photos, prepare
from pellucid.data.split import MIN_VALIDATION
from pellucid.errors import UserError
from pellucid.labels import UNLABELLED

SIZE = 128
"""Default height and width of the images."""


def load_own(
    source: Path, size: int | None = None, min_area: float = 1.0, folds: int = 5, fold: int = 0, validation_share: float = 0.0
) -> Splits:
    """The pictures of `list_entries` in splits: their own or, without any, a test set of one part in `folds`, stratified by class.

    size: height and width of the images, `SIZE` by default; min_area: see `Photos`; fold: index of the test part. A picture's
    part depends on the files, classes and groups alone, not on names; duplicates, exact or near, and the pictures of one group are in one
    part. Pictures that can't be read are skipped and listed in `Splits.skipped`. Without a test set but with a validation set, that one is
    measured. validation_share: fraction of the remaining pictures to hold out, chosen in the same way, unless the pictures have a
    validation set or that fraction has fewer than `MIN_VALIDATION` labels. Raises `UserError` for a fold other than 0 where the pictures
    have splits of their own.
    """
    if not 0 <= fold < folds:
        raise UserError(f"Expected a fold from 0 to {folds - 1}, found {fold}; folds are counted from 0.")
    entries, photos, damaged, fingerprints, skipped = _read(list_entries(source), size or SIZE, min_area)
    classes = tuple(sorted({entry.label for entry in entries if entry.label is not None}))
    labels = np.array([UNLABELLED if entry.label is None else classes.index(entry.label) for entry in entries], np.int64)
    group_of = groups_of_duplicates(fingerprints, [entry.group for entry in entries])
    whole = Dataset(photos, labels, classes, source.name, damaged=damaged, groups=group_of)
    split_of = np.array([entry.split or "train" for entry in entries], f"U{len('validation')}")
    digest = _digest(entries, fingerprints)
    groups = _groups(labels, fingerprints, group_of)
    if set(split_of) == {"train"}:
        for group in groups[fold::folds]:
            split_of[group] = "test"
    elif fold:
        raise UserError(f"Expected pictures without splits of their own for fold {fold}, found some in {source}; leave data.fold out.")
    if validation_share and "validation" not in split_of:
        split_of[_held_out(groups, split_of, labels, validation_share)] = "validation"
    parts = {name: replace(whole.subset(np.flatnonzero(split_of == name)), split=name) for name in ("train", "validation", "test")}
    train, validation, test = parts.values()
    if not len(train) or not len(test) + len(validation):
        unread = f" ({len(skipped):,} can't be read: {skipped[0].rstrip('.')})" if skipped else ""
        raise UserError(
            f"Expected pictures to train on and others to measure on in {source}, found {len(entries)} in all{unread}; add some."
        )
    if not len(test):
        return Splits(train, validation, skipped=skipped, digest=digest)
    return Splits(train, test, validation if len(validation) else None, skipped, digest)


def _read(
    entries: Sequence[Entry], size: int, min_area: float
) -> tuple[list[Entry], Photos, Photos | None, list[Fingerprint], tuple[str, ...]]:
    """The entries whose pictures can be read, these pictures, damaged versions if any, fingerprints, and the errors of the others.

    In the order of the hashes of the files, so that the first ones are of all classes, wherever a number of images is limited.
    """
    paired = {entry.damaged is not None for entry in entries}
    if len(paired) > 1:
        raise UserError("Expected a damaged version of every picture or of none, found some with and some without; leave out one kind.")
    paths = [entry.path for entry in entries] + [entry.damaged for entry in entries if entry.damaged is not None]
    if missing := [path for path in paths if not os.path.isfile(path)]:  # noqa: PTH113 - pathlib raises for names that are too long
        raise UserError(f"Expected pictures at all paths, found {len(missing)} missing, such as {missing[0]}; correct the table.")
    photos, fingerprints, failures = prepare(paths, size, min_area)
    readable = np.array([index not in failures for index in range(len(paths))]).reshape(-1, len(entries))  # clean, then damaged
    positions = (readable.cumsum() - 1).reshape(readable.shape)  # among the readable pictures
    good = sorted(np.flatnonzero(readable.all(axis=0)).tolist(), key=lambda index: fingerprints[positions[0, index]].digest)
    positions = positions[:, good]
    clean, *damaged = (photos.take(each) for each in positions)
    kept, *others = ([fingerprints[i] for i in each] for each in positions)
    for other, prints in zip(damaged, others, strict=True):
        _check_pairs([paths[i] for i in good], clean, other, kept, prints)
    return [entries[i] for i in good], clean, damaged[0] if damaged else None, kept, tuple(failures.values())


def _check_pairs(
    paths: Sequence[Path], clean: Photos, damaged: Photos, prints: Sequence[Fingerprint], prints_damaged: Sequence[Fingerprint]
) -> None:
    differ = (clean.heights != damaged.heights) | (clean.widths != damaged.widths)
    if differ.any():
        first = int(differ.argmax())
        raise UserError(
            f"Expected a damaged version of the size of its clean one, found {int(differ.sum())} of another, such as that of "
            f"{paths[first]}; crop or resize one of the two."
        )
    scaled = [path for path, one, other in zip(paths, prints, prints_damaged, strict=True) if one.window != other.window]
    if scaled:
        raise UserError(
            f"Expected 16-bit pairs with the same values of black and white, found {len(scaled)} that seem to have different ones, such as "
            f"{scaled[0]}; scale the values of both to all 16 bits."
        )


def _digest(entries: Sequence[Entry], fingerprints: Sequence[Fingerprint]) -> str:
    """A hash of the pictures, their classes, groups and splits, whatever their names and their order."""
    lines = sorted(
        f"{fingerprint.digest} {json.dumps([entry.label, entry.group, entry.split])}"
        for entry, fingerprint in zip(entries, fingerprints, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _groups(labels: NDArray[np.int64], fingerprints: Sequence[Fingerprint], group_of: NDArray[np.int64]) -> list[list[int]]:
    """The members of each group, by class and then by the hashes of their files; every n-th is a part."""
    order = np.argsort(group_of, kind="stable")
    members = [group.tolist() for group in np.split(order, np.flatnonzero(np.diff(group_of[order])) + 1) if len(group)]
    return sorted(members, key=lambda group: min((labels[index], fingerprints[index].digest) for index in group))


def _held_out(groups: Sequence[list[int]], split_of: NDArray[np.str_], labels: NDArray[np.int64], share: float) -> list[int]:
    """The indices of the validation pictures: evenly spaced groups of the training pictures; none with too few labels."""
    own = [group for group in groups if (split_of[group] == "train").all()]
    chosen = [group for turn, group in enumerate(own) if int((turn + 1) * share) > int(turn * share)]
    held = [index for group in chosen for index in group]
    return held if (labels[held] != UNLABELLED).sum() >= MIN_VALIDATION and len(chosen) < len(own) else []
