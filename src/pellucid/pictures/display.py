"""Resizes pictures for display: large ones shrunk, small ones enlarged by a whole factor, pixel for pixel."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def shrink(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with a longer side of at most `side` pixels."""
    height, width = picture.shape[:2]
    if max(height, width) <= side:
        return picture
    size = max(1, round(width * side / max(height, width))), max(1, round(height * side / max(height, width)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, reducing_gap=3))


def enlarge(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with each pixel repeated `factor` times in both directions."""
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((factor * width, factor * height), Image.Resampling.NEAREST))


def fit(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (H, W, 3) at the largest size that fits into a square of `side` pixels."""
    shrunk = shrink(picture, side)
    return enlarge(shrunk, side // max(shrunk.shape[:2]))
