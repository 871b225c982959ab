"""Compares an exported model with the torch network on random and real images, including odd sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
import torch

from pellucid import pictures
from pellucid.degradations import SUITES
from pellucid.errors import UserError
from pellucid.inference.backend import Backend, Outputs
from pellucid.inference.pixels import Floats, to_floats
from pellucid.seeding import generator

BATCH_SHAPES = ((1, 8, 8), (2, 33, 47), (3, 32, 32), (1, 64, 40), (5, 20, 21), (1, 101, 157))
"""Batch, height and width of the images that are compared."""

TOLERANCE = 1e-3
"""Largest difference between outputs a and b, as |a - b| / (1 + |a|): a quarter of a grey level in 255; engines round differently."""

PHOTOGRAPH = "mpl-data/sample_data/grace_hopper.jpg"
"""A photograph that comes with matplotlib: real pixels without a network or a data set."""


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """The largest difference of each output over several batches; `str` is a sentence."""

    by_output: dict[str, float]
    num_batches: int

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {value:.1g}" for name, value in self.by_output.items())
        smallest, largest = ("{} x {}".format(*shape[1:]) for shape in (BATCH_SHAPES[0], BATCH_SHAPES[-1]))
        return f"Largest difference from torch, on {self.num_batches} batches of random and real images, {smallest} to {largest}: {parts}."


def verify(backend: Backend, reference: Backend) -> OutputDifference:
    """Compare two backends; raises `UserError` if they differ by more than `TOLERANCE`."""
    largest: dict[str, float] = {}
    batches = [*random_images(BATCH_SHAPES), *real_images(BATCH_SHAPES)]
    for images in batches:
        for name, expected, actual in zip(Outputs._fields, reference(images), backend(images), strict=True):
            if expected is None and actual is None:
                continue
            if expected is None or actual is None or expected.shape != actual.shape:
                raise UserError(f"Expected the output {name} of torch in the exported model, found another; predict with torch.")
            difference = float((np.abs(expected - actual) / (1 + np.abs(expected))).max())
            largest[name] = max(largest.get(name, 0.0), difference) if np.isfinite(difference) else np.inf
    if bad := {name: value for name, value in largest.items() if value > TOLERANCE}:
        raise UserError(
            f"Expected outputs within {TOLERANCE:g} of torch, found {', '.join(f'{name} {value:.2g}' for name, value in bad.items())}; "
            "nothing was written: predict with torch."
        )
    return OutputDifference(largest, len(batches))


def random_images(shapes: Sequence[tuple[int, int, int]]) -> Iterator[Floats]:
    """Uniform noise, different in each call."""
    random = np.random.default_rng()
    for num, height, width in shapes:
        yield random.random((num, 3, height, width), np.float32)


def real_images(shapes: Sequence[tuple[int, int, int]]) -> Iterator[Floats]:
    """Degraded crops of a photograph."""
    with as_file(files("matplotlib").joinpath(PHOTOGRAPH)) as path:
        photograph = pictures.read(path)
    random = np.random.default_rng()
    for index, (num, height, width) in enumerate(shapes):
        tops, lefts = (random.integers(0, side - length, num) for side, length in zip(photograph.shape, (height, width), strict=False))
        crops = np.stack([photograph[top : top + height, left : left + width] for top, left in zip(tops, lefts, strict=True)])
        damaged, _ = SUITES["everyday"](torch.from_numpy(to_floats(crops)), generator("export", index))
        yield damaged.numpy()
