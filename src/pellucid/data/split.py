"""Taking a validation set off a data set, and labels off its images."""

from dataclasses import replace

import numpy as np

from pellucid.data.dataset import Dataset
from pellucid.errors import UserError
from pellucid.labels import UNLABELLED

LABEL_SEED = 0
"""Decides which images keep their label: the protocol's, the same for every run."""


def hold_out(dataset: Dataset, num_images: int) -> tuple[Dataset, Dataset]:
    """Split off `num_images`, the last ones of every class, in proportion to the classes; both parts keep their order: (rest, held).

    No random numbers: the protocol's validation set is the same images for everyone. Shares that are no whole number are rounded so that
    the sum is right, the largest remainders up, earlier classes first; unlabelled images count as one more class.
    """
    if not 0 < num_images < len(dataset):
        raise UserError(
            f"Expected to hold out between 1 and {len(dataset) - 1} of {len(dataset)} images, found {num_images}; choose fewer."
        )
    _, strata, sizes = np.unique(dataset.labels, return_inverse=True, return_counts=True)
    # In whole numbers, since a remainder that floats make of nothing would decide who is rounded up.
    quotas, remainders = np.divmod(sizes * num_images, len(dataset))
    quotas[np.argsort(-remainders, kind="stable")[: num_images - quotas.sum()]] += 1
    last = [np.flatnonzero(strata == stratum)[size - quota :] for stratum, (size, quota) in enumerate(zip(sizes, quotas, strict=True))]
    held = np.zeros(len(dataset), bool)
    held[np.concatenate(last)] = True
    return dataset.subset(np.flatnonzero(~held)), replace(dataset.subset(np.flatnonzero(held)), split="validation")


def keep_labels(dataset: Dataset, num_labels: int) -> Dataset:
    """All images, of which `num_labels` keep their label, in proportion to the classes; the others are `UNLABELLED`.

    Which ones depends on `LABEL_SEED` and the labels alone. The images stand in one order, of which the first ones keep their labels, so
    that fewer labels are a part of more. In it the classes take turns by Webster's rule: every beginning of it is in proportion.
    """
    labelled = np.flatnonzero(dataset.labels != UNLABELLED)
    if not 0 < num_labels <= len(labelled):
        raise UserError(f"Expected to keep between 1 and {len(labelled)} labels, found {num_labels}; choose fewer.")
    _, strata, sizes = np.unique(dataset.labels[labelled], return_inverse=True, return_counts=True)
    lots = np.random.PCG64(LABEL_SEED).random_raw(len(labelled))  # the raw numbers, since those of a Generator may change with NumPy
    by_class = np.lexsort((lots, strata))
    turns = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    order = labelled[by_class[np.argsort(turns, kind="stable")]]
    labels = np.full_like(dataset.labels, UNLABELLED)
    labels[order[:num_labels]] = dataset.labels[order[:num_labels]]
    return replace(dataset, labels=labels)
