"""The overview of a picture: at which size its class and the kinds of its damage are read. Works on arrays, without torch."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_SIZE_RATIO = 2
"""Pictures of up to this multiple of the training images' size are classified at their own size, larger ones are scaled down."""

MAX_ASPECT = 4
"""Maximum ratio of the sides of a picture that is scaled by its shorter side; others are scaled by the longer one."""


def has_own_size(height: int, width: int, image_size: int) -> bool:
    """Whether a picture is classified at its own size; image_size: shorter side of the training images in pixels."""
    return max(height, width) <= MAX_SIZE_RATIO * image_size


def scale_down(pictures: NDArray[Any], image_size: int) -> NDArray[Any]:
    """Pictures (B, H, W, 3) of any type with the shorter side of the training images; the longer one at most `MAX_ASPECT` times that."""
    height, width = pictures.shape[1:3]
    scale = min(image_size / min(height, width), MAX_ASPECT * image_size / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])
