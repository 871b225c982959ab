"""The uncertainty of restored pictures as grey pictures."""

import numpy as np
from numpy.typing import NDArray

from pellucid.models.uncertainty import MARGIN, uncertainty
from pellucid.pictures import Pixels

WHITE = 0.1
"""The uncertainty that is shown white, on the [0, 1] scale."""

ROWS = 128
"""Rows of large pictures that are computed at once."""


def uncertainty_map(picture: Pixels, restored: Pixels) -> NDArray[np.float32]:
    """`uncertainty` of a restored picture: two of (H, W, 3), uint8 or uint16 -> (H, W), on the [0, 1] scale; in strips of rows."""
    height = len(picture)
    strips = []
    for row in range(0, height, ROWS):
        top = max(0, row - MARGIN)
        part = slice(top, min(height, row + ROWS + MARGIN))
        before, after = (np.asarray(each[part] / np.iinfo(each.dtype).max, np.float32) for each in (picture, restored))
        guess = uncertainty(before, after)
        strips.append(guess[row - top : row - top + min(ROWS, height - row)])
    return np.concatenate(strips)


def drawn(uncertain: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W) on the [0, 1] scale -> (H, W, 3) uint8: black is certain, white is `WHITE` and more."""
    grey: NDArray[np.uint8] = np.minimum(uncertain * (255 / WHITE), 255).round().astype(np.uint8)
    return np.stack([grey] * 3, axis=2)
