"""The overview of a picture: at which size its class and the kinds of its damage are read. Works on arrays, without torch."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR = 2
"""Pictures of up to so many times the size of the training images are classified as they are, larger ones scaled down to that size."""

OBLONG = 4
"""Ratio of the sides from which on a picture is scaled by its longer side."""


def has_own_size(height: int, width: int, image_size: int) -> bool:
    """Whether a picture is classified at its own size; image_size: shorter side of the training images in pixels."""
    return max(height, width) <= NEAR * image_size


def scale_down(pictures: NDArray[Any], image_size: int) -> NDArray[Any]:
    """Pictures (B, H, W, 3) of any type with the shorter side of the training images; the longer one at most `OBLONG` times that."""
    height, width = pictures.shape[1:3]
    scale = min(image_size / min(height, width), OBLONG * image_size / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])
