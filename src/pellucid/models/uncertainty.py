"""Per-pixel uncertainty of a restored picture: a guess at its error, from the picture and the restored one alone.

A restorer errs where there is much detail, and where it had to change much. Neither needs another pass of the network or another training;
`docs/trust.md` says how well the guess ranks the errors. Works on arrays, for exported models too, without torch.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOW = 5
"""Height and width in pixels of the neighbourhood."""

SCALE = 0.2
"""Mean absolute error for each unit of contrast and of change, about what a least-squares fit gave on training images of CIFAR-10."""

MARGIN = WINDOW // 2
"""Pixels around a region on which its uncertainty depends."""


def uncertainty(picture: NDArray[np.float32], restored: NDArray[np.float32]) -> NDArray[np.float32]:
    """The guessed absolute error of each pixel, on the [0, 1] scale: a picture (H, W, 3) and the restored one -> (H, W)."""
    restored = restored.clip(0, 1)
    mean, mean_square = _local_mean(restored), _local_mean(np.square(restored))
    contrast = np.sqrt((mean_square - np.square(mean)).clip(min=0))
    change = _local_mean(np.abs(restored - picture))
    guess: NDArray[np.float32] = SCALE * (contrast + change).mean(axis=2)
    return guess


def _local_mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(picture, (WINDOW, WINDOW), borderType=cv2.BORDER_REPLICATE), np.float32)
