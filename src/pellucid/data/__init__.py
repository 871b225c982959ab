"""Data sets of clean, labelled images.

Every data set loads as `Splits`, a training and a test `Dataset` of uint8 images of one size: built-in ones by `load`, in memory or
memory-mapped; a folder or a table of pictures by `load_own`, cropped and resized when they are read.

    >>> from pellucid import data
    >>> splits = data.load("shapes")
    >>> splits.train.images.shape, splits.train.classes
    ((2000, 32, 32, 3), ('disc', 'square', 'triangle', 'cross'))
    >>> rest, validation = data.hold_out(splits.train, 200)
    >>> few_labels = data.keep_labels(rest, 180)
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pellucid.data import cifar10, synthetic
from pellucid.data.dataset import Dataset, Splits
from pellucid.data.own import load_own
from pellucid.data.photos import Photos
from pellucid.data.split import MIN_VALIDATION, hold_out, keep_labels, select
from pellucid.errors import UserError

__all__ = ["DATASETS", "MIN_VALIDATION", "Dataset", "Photos", "Splits", "hold_out", "keep_labels", "load", "load_own", "select"]

DATASETS: dict[str, Callable[[Path | None], Splits]] = {
    "cifar10": cifar10.load,
    "shapes": synthetic.load,
}


def load(name: str, source: Path | None = None) -> Splits:
    """The data set of that name; source: path of its files, instead of downloading them."""
    if name not in DATASETS:
        raise UserError(f"Expected a data set among {', '.join(DATASETS)}, or a folder of pictures, found {name!r}; choose one of these.")
    splits = DATASETS[name](source)
    return Splits(replace(splits.train, name=name, split="train"), replace(splits.test, name=name, split="test"))
