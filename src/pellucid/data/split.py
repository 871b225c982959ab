"""Taking a validation set off a data set."""

import numpy as np

from pellucid.data.dataset import Dataset
from pellucid.errors import UserError


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
    return dataset.subset(np.flatnonzero(~held)), dataset.subset(np.flatnonzero(held))
