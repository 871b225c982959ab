"""Uncertainty maps of restored pictures, and grey pictures of maps and masks."""

import numpy as np
from numpy.typing import NDArray

from pellucid.inference.pixels import STRIP_ROWS
from pellucid.models.uncertainty import NEIGHBOURHOOD_RADIUS, uncertainty
from pellucid.pictures import Pixels

WHITE = 0.1
"""The uncertainty that is drawn white, on the [0, 1] scale."""


def uncertainty_map(picture: Pixels, restored: Pixels) -> NDArray[np.float32]:
    """`uncertainty` of a restored picture: two of (H, W, 3), uint8 or uint16 -> (H, W), on the [0, 1] scale; in strips of rows."""
    height = len(picture)
    strips = []
    for row in range(0, height, STRIP_ROWS):
        top = max(0, row - NEIGHBOURHOOD_RADIUS)
        part = slice(top, min(height, row + STRIP_ROWS + NEIGHBOURHOOD_RADIUS))
        before, after = (np.asarray(each[part] / np.iinfo(each.dtype).max, np.float32) for each in (picture, restored))
        estimate = uncertainty(before, after)
        strips.append(estimate[row - top : row - top + min(STRIP_ROWS, height - row)])
    return np.concatenate(strips)


def draw_mask(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(H, W) bool -> (H, W, 3) uint8: white where the mask is true."""
    return np.uint8(255) * mask[:, :, None].repeat(3, axis=2)


def draw_map(uncertain: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W) on the [0, 1] scale -> (H, W, 3) uint8: black is certain, white is `WHITE` and more."""
    grey: NDArray[np.uint8] = np.minimum(uncertain * (255 / WHITE), 255).round().astype(np.uint8)
    return np.stack([grey] * 3, axis=2)
