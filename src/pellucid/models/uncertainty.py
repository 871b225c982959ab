"""Per-pixel uncertainty of a restored picture: an estimate of its error, from the input and the restored picture alone.

Errors are large in detailed regions and where the restorer changed much. The estimate needs neither another forward pass nor another
training; `docs/trust.md` measures how well it ranks the errors. Works on arrays, for exported models too, without torch.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

NEIGHBOURHOOD = 5
"""Height and width in pixels of the neighbourhood."""

SCALE = 0.2
"""Mean absolute error per unit of contrast and of change, from a least-squares fit on training images of CIFAR-10."""

NEIGHBOURHOOD_RADIUS = NEIGHBOURHOOD // 2
"""Margin in pixels on which the uncertainty of a region depends."""


def uncertainty(picture: NDArray[np.float32], restored: NDArray[np.float32]) -> NDArray[np.float32]:
    """The estimated absolute error of each pixel, on the [0, 1] scale: a picture (H, W, 3) and the restored one -> (H, W)."""
    restored = restored.clip(0, 1)
    mean, mean_square = _local_mean(restored), _local_mean(np.square(restored))
    contrast = np.sqrt((mean_square - np.square(mean)).clip(min=0))
    change = _local_mean(np.abs(restored - picture))
    estimate: NDArray[np.float32] = SCALE * (contrast + change).mean(axis=2)
    return estimate


def _local_mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(picture, (NEIGHBOURHOOD, NEIGHBOURHOOD), borderType=cv2.BORDER_REPLICATE), np.float32)
