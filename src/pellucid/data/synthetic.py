"""Synthetic shapes: a data set without a download, for tests and first experiments."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.data.dataset import Dataset, Splits
from pellucid.errors import UserError

Plane = NDArray[np.float64]

# Shapes within the unit circle: class name and indicator function of (x, y).
SHAPES: dict[str, Callable[[Plane, Plane], NDArray[np.bool_]]] = {
    "disc": lambda x, y: x**2 + y**2 < 0.7,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.7,
    "triangle": lambda x, y: np.maximum(-y, 0.87 * abs(x) + 0.5 * y) < 0.5,
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.25) & (np.maximum(abs(x), abs(y)) < 0.95),
    "ring": lambda x, y: abs(x**2 + y**2 - 0.6) < 0.25,
    "bar": lambda x, y: (abs(x) < 0.25) & (abs(y) < 0.95),
}


def load(source: Path | None = None) -> Splits:
    """`shapes` with default arguments, as listed in `DATASETS`; raises `UserError` for a source."""
    if source is not None:
        raise UserError(f"Expected no source for drawn shapes, found {source}; leave it out.")
    return shapes()


@lru_cache(maxsize=4)  # drawing takes a second or two; the arrays are read-only
def shapes(num_images: int = 2_000, size: int = 32, num_classes: int = 4, seed: int = 0) -> Splits:
    """`num_images` training images of `size` x `size` pixels, and a fifth as many test images, deterministic given the seed.

    The class is the shape: position, size, angle, colours and the striped background are random.
    """
    if not (num_images >= 1 and size >= 8 and 2 <= num_classes <= len(SHAPES)):
        raise UserError(
            f"Expected at least 1 image of at least 8 pixels, and 2 to {len(SHAPES)} classes, "
            f"found {num_images} of {size} pixels and {num_classes} classes; change what is out of range."
        )
    classes = tuple(SHAPES)[:num_classes]
    train, test = (
        _draw_all(count, size, classes, np.random.default_rng([seed, split]))
        for split, count in enumerate((num_images, -(-num_images // 5)))
    )
    return Splits(train, test)


def _draw_all(num_images: int, size: int, classes: tuple[str, ...], generator: np.random.Generator) -> Dataset:
    labels = generator.permutation(np.arange(num_images, dtype=np.int64) % len(classes))
    images = np.stack([_draw(classes[label], size, generator) for label in labels])
    for array in (images, labels):
        array.setflags(write=False)
    return Dataset(images, labels, classes)


def _draw(name: str, size: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """One image, (size, size, 3), rendered at three times the size and averaged for anti-aliased edges."""
    steps = (np.arange(3 * size) + 0.5) / (1.5 * size) - 1
    x, y = np.meshgrid(steps, steps)

    frequency, (angle, phase) = generator.uniform(2, 8), generator.uniform(0, 2 * np.pi, 2)
    stripes = 0.5 + 0.5 * np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    dark, light, colour = generator.uniform(0, 0.5, 3), generator.uniform(0, 0.5, 3), generator.uniform(0.6, 1, 3)
    picture = dark + (light - dark) * stripes[:, :, None]

    radius, turn = generator.uniform(0.4, 0.7), generator.uniform(0, 2 * np.pi)
    left, up = generator.uniform(radius - 1, 1 - radius, 2)
    u, v = ((x - left) * np.cos(turn) + (y - up) * np.sin(turn)) / radius, ((y - up) * np.cos(turn) - (x - left) * np.sin(turn)) / radius
    picture[SHAPES[name](u, v)] = colour

    if generator.random() < 0.5:  # a dark shape on a light background
        picture = 1 - picture
    smooth: Plane = picture.reshape(size, 3, size, 3, 3).mean(axis=(1, 3))
    return np.rint(255 * smooth).astype(np.uint8)
