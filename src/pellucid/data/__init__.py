"""Clean images and what is in them.

Every data set is a row of `DATASETS` and comes as `Splits`: a training and a test `Dataset` of uint8 images in memory, or in a memory map.

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
from pellucid.data.split import hold_out, keep_labels
from pellucid.errors import UserError

__all__ = ["DATASETS", "Dataset", "Splits", "hold_out", "keep_labels", "load"]

DATASETS: dict[str, Callable[[Path | None], Splits]] = {
    "cifar10": cifar10.load,
    "shapes": synthetic.load,
}


def load(name: str, source: Path | None = None) -> Splits:
    """The data set of that name; `source` is where its files lie, for those that have files and where they are not to be downloaded."""
    if name not in DATASETS:
        raise UserError(f"Expected a data set among {', '.join(DATASETS)}, found {name!r}; choose one of these.")
    splits = DATASETS[name](source)
    return Splits(replace(splits.train, name=name, split="train"), replace(splits.test, name=name, split="test"))
