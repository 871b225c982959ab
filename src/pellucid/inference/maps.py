"""The uncertainty of restored pictures as grey pictures."""

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.batch import from_pixels
from pellucid.models.uncertainty import MARGIN, uncertainty
from pellucid.pictures import Pixels

WHITE = 0.1
"""The uncertainty that is shown white, on the [0, 1] scale."""

ROWS = 512
"""Rows of large pictures that are computed at once."""


def uncertainty_map(picture: Pixels, restored: Pixels) -> NDArray[np.float32]:
    """`uncertainty` of a restored picture: two of (H, W, 3), uint8 or uint16 -> (H, W), on the [0, 1] scale; in strips of rows."""
    height = len(picture)
    strips = []
    for row in range(0, height, ROWS):
        top = max(0, row - MARGIN)
        part = slice(top, min(height, row + ROWS + MARGIN))
        guess = uncertainty(from_pixels(picture[part][None]), from_pixels(restored[part][None]))[0]
        strips.append(guess[row - top : row - top + min(ROWS, height - row)])
    return torch.cat(strips).numpy()


def drawn(uncertain: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(H, W) on the [0, 1] scale -> (H, W, 3) uint8: black is certain, white is `WHITE` and more."""
    grey: NDArray[np.uint8] = np.minimum(uncertain * (255 / WHITE), 255).round().astype(np.uint8)
    return np.stack([grey] * 3, axis=2)
