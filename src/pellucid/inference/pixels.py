"""Conversion between pixels of pictures and float arrays for networks."""

import numpy as np
from numpy.typing import NDArray

from pellucid.pictures import Pixels

Floats = NDArray[np.float32]

STRIP_ROWS = 128
"""Rows of a large picture that are processed at a time; a multiple of the blocks of `change_of`."""


def to_floats(pixels: Pixels) -> Floats:
    """Images (B, H, W, 3), uint8 or uint16, RGB -> (B, 3, H, W), float32 in [0, 1]."""
    images = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    images /= np.iinfo(pixels.dtype).max
    return images


def floats_to_pixels(restored: Floats, grey: NDArray[np.bool_], like: Pixels) -> Pixels:
    """Restored images (B, 3, H, W) -> (B, H, W, 3) of the type of `like`, clamped and rounded, without colour where `grey` (B,) is true."""
    if grey.any():
        restored = np.where(grey[:, None, None, None], restored.mean(1, keepdims=True), restored)
    scaled = np.clip(restored, 0, 1)
    scaled *= np.iinfo(like.dtype).max
    with np.errstate(invalid="ignore"):  # non-finite outputs are reported elsewhere
        pixels = np.rint(scaled, out=scaled).astype(like.dtype)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def pad_to_size(images: Floats, height: int, width: int) -> Floats:
    """Repeat the last row and column of images (B, 3, H, W) up to that size."""
    below, right = height - images.shape[2], width - images.shape[3]
    return np.pad(images, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge") if below or right else images
