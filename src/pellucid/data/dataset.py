"""What a data set is to the rest of Pellucid: clean images, labels, and the names of the classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pellucid.labels import UNLABELLED


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images of one size, their labels, and what the labels mean.

    images: (N, H, W, 3) uint8, RGB, possibly a read-only memory map; labels: (N,) int64, indices into `classes`, `UNLABELLED` where
    unknown; classes: the name of each class; name: of the whole data set; split: `train`, `validation` or `test`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    name: str = "own data"
    split: str = "given"

    def __post_init__(self) -> None:
        shape = self.images.shape
        if len(shape) != 4 or shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(
                f"Expected uint8 images of shape (N, H, W, 3), found {self.images.dtype} of shape {shape}; convert them to RGB first."
            )
        if self.labels.shape != shape[:1] or self.labels.dtype != np.int64:
            raise ValueError(
                f"Expected int64 labels of shape ({shape[0]},), found {self.labels.dtype} of shape {self.labels.shape}; "
                f"give every image one, {UNLABELLED} where its class is not known."
            )
        if len(self) and not (self.labels.min() >= UNLABELLED and self.labels.max() < len(self.classes)):
            raise ValueError(
                f"Expected labels from 0 to {len(self.classes) - 1}, or {UNLABELLED} where the class is not known, "
                f"found {self.labels.min()} to {self.labels.max()}; name every class."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: NDArray[np.int64] | Sequence[int] | slice) -> Self:
        """The images at `indices`, in that order; a slice keeps a memory map mapped, anything else copies."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """A data set in two parts that share no image: one to train on, and one that is looked at for the final figures only."""

    train: Dataset
    test: Dataset

    def __post_init__(self) -> None:
        if self.train.classes != self.test.classes:
            raise ValueError(f"Expected the same classes in both splits, found {self.train.classes} and {self.test.classes}.")
