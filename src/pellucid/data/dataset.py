"""The data set type: clean images, labels and class names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pellucid.data.photos import Photos
from pellucid.errors import UserError
from pellucid.labels import UNLABELLED


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images of one size, their labels and the class names.

    images: (N, H, W, 3) uint8, RGB, an array, possibly a read-only memory map, or photographs; labels: (N,) int64, indices into `classes`,
    `UNLABELLED` where unknown; classes: the name of each class; name: of the data set; split: `train`, `validation` or `test`; damaged:
    the same images with real damage, where the data are pairs; groups: (N,) int64, duplicates and related images have the same number;
    `None` where each image is for itself.
    """

    images: NDArray[np.uint8] | Photos
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    name: str = "own data"
    split: str = "given"
    damaged: Photos | None = None
    groups: NDArray[np.int64] | None = None

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

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        height, width = self.images.shape[1:3]
        return height, width

    def require_classes(self, classes: Sequence[str]) -> None:
        """Raise `UserError` if `classes`, those of a model, are not those of the data set."""
        if self.classes != tuple(classes):
            raise UserError(
                f"Expected images of the classes that the model knows ({', '.join(classes)}), found those of {self.name} "
                f"({', '.join(self.classes)}); choose its own data set by --data."
            )

    @property
    def counts(self) -> str:
        """The number of images, and of labelled images if some are unlabelled, as text."""
        num_labelled = int((self.labels != UNLABELLED).sum())
        return f"{len(self):,} images" + (f" ({num_labelled:,} with a label)" if num_labelled < len(self) else "")

    def subset(self, indices: NDArray[np.int64] | Sequence[int] | slice) -> Self:
        """The images at `indices`, in that order; of an array, a slice keeps the memory map, any other index copies."""
        images = self.images.take(indices) if isinstance(self.images, Photos) else self.images[indices]
        damaged = None if self.damaged is None else self.damaged.take(indices)
        groups = None if self.groups is None else self.groups[indices]
        return replace(self, images=images, labels=self.labels[indices], damaged=damaged, groups=groups)


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """A data set in disjoint parts.

    train: for training; test: for the final evaluation only; validation: held out of the training images, for model selection; skipped:
    the error of each picture that can't be read; digest: of the user's own pictures with their classes, groups and splits, by which
    changes since a training are noticed; empty for other data.
    """

    train: Dataset
    test: Dataset
    validation: Dataset | None = None
    skipped: tuple[str, ...] = ()
    digest: str = ""

    def __post_init__(self) -> None:
        if self.train.classes != self.test.classes:
            raise ValueError(f"Expected the same classes in both splits, found {self.train.classes} and {self.test.classes}.")

    def require_unchanged(self, digest: str, trained: str, otherwise: str) -> None:
        """Raise `UserError` if `digest`, that of a training, is of other pictures; trained: what was trained; otherwise: advice."""
        if digest not in ("", self.digest):
            raise UserError(
                f"Expected the pictures that {trained} was trained with, found that some were added, removed or changed since: test "
                f"pictures may be training pictures of then; restore them, or {otherwise}."
            )

    @property
    def measured(self) -> Dataset:
        """The images that a model is evaluated on: the validation images if there are any, else the test images."""
        return self.test if self.validation is None else self.validation
