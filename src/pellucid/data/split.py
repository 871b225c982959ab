"""Selects training and validation images, and removes labels."""

from dataclasses import replace

import numpy as np

from pellucid.data.dataset import Dataset, Splits
from pellucid.errors import UserError
from pellucid.labels import UNLABELLED

MIN_VALIDATION = 50
"""Minimum number of validation images with labels to fit a temperature on."""

LABEL_SEED = 0
"""Seed of the choice of images that keep their label; fixed by the protocol, the same for every run."""


def hold_out(dataset: Dataset, num_images: int) -> tuple[Dataset, Dataset]:
    """Stratified split: hold out `num_images`, the last ones of every class; both parts keep their order: (rest, held).

    Deterministic, so that the protocol's validation set is always the same. Class quotas are rounded by the largest-remainder method, ties
    in favour of earlier classes, so that they sum to `num_images`; unlabelled images count as one more class. Groups of images are held out
    whole, by the class of their first image: the same fraction of them, so that the number of images is about `num_images`.
    """
    if not 0 < num_images < len(dataset):
        raise UserError(
            f"Expected to hold out between 1 and {len(dataset) - 1} of {len(dataset)} images, found {num_images}; choose fewer."
        )
    groups = np.arange(len(dataset)) if dataset.groups is None else dataset.groups
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    if len(first) < 2:
        raise UserError(f"Expected images that are not all related to hold some out, found one group of {len(dataset)}; add others.")
    number = min(max(1, round(num_images * len(first) / len(dataset))), len(first) - 1)
    _, strata, sizes = np.unique(dataset.labels[first], return_inverse=True, return_counts=True)
    # In integers, since float rounding errors in the remainders could decide which class is rounded up.
    quotas, remainders = np.divmod(sizes * number, len(first))
    quotas[np.argsort(-remainders, kind="stable")[: number - quotas.sum()]] += 1
    last = [np.flatnonzero(strata == stratum)[size - quota :] for stratum, (size, quota) in enumerate(zip(sizes, quotas, strict=True))]
    chosen = np.zeros(len(first), bool)
    chosen[np.concatenate(last)] = True
    held = chosen[group_of]
    return dataset.subset(np.flatnonzero(~held)), replace(dataset.subset(np.flatnonzero(held)), split="validation")


def keep_labels(dataset: Dataset, num_labels: int) -> Dataset:
    """All images, of which `num_labels` keep their label, stratified by class; the others become `UNLABELLED`.

    The choice depends on `LABEL_SEED` and the labels alone. The first `num_labels` images of one fixed order keep their labels, so that
    smaller choices are subsets of larger ones. The order interleaves the classes by Webster's rule, so that every prefix is stratified.
    """
    labelled = np.flatnonzero(dataset.labels != UNLABELLED)
    if not 0 < num_labels <= len(labelled):
        raise UserError(f"Expected to keep between 1 and {len(labelled)} labels, found {num_labels}; choose fewer.")
    _, strata, sizes = np.unique(dataset.labels[labelled], return_inverse=True, return_counts=True)
    draws = np.random.PCG64(LABEL_SEED).random_raw(len(labelled))  # raw output, since the streams of a Generator may change with NumPy
    by_class = np.lexsort((draws, strata))
    turns = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    order = labelled[by_class[np.argsort(turns, kind="stable")]]
    labels = np.full_like(dataset.labels, UNLABELLED)
    labels[order[:num_labels]] = dataset.labels[order[:num_labels]]
    return replace(dataset, labels=labels)


def select(splits: Splits, *, limit: int = 0, validation: int = 0, labels: int = 0, unlabelled: bool = True) -> Splits:
    """Select the training images and hold out validation images; the latter keep all their labels.

    limit: use only the first `limit` images, 0 for all; validation: number of them to hold out; labels: number of the remaining images
    that keep their label, 0 for all; unlabelled: include unlabelled images in training.
    """
    train, held_out = splits.train, splits.validation
    if limit:
        train = train.subset(slice(limit))
    if validation and held_out is not None:
        raise UserError(
            f"Expected data without validation images of their own to hold some out, found {len(held_out)}; set data.validation to 0."
        )
    if validation:
        if validation >= len(train):
            raise UserError(
                f"Expected more training images than data.validation, {validation:,}, holds out, found {len(train):,}; set it lower, to a "
                "tenth of them, or to 0."
            )
        train, held_out = hold_out(train, validation)
    if labels:
        train = keep_labels(train, labels)
    if not unlabelled and (train.labels == UNLABELLED).any():
        train = train.subset(np.flatnonzero(train.labels != UNLABELLED))
    return replace(splits, train=train, validation=held_out)
