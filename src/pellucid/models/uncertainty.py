"""Per-pixel uncertainty of a restored picture: a guess at its error, from the picture and the restored one alone.

A restorer errs where there is much detail, and where it had to change much. Neither needs another pass of the network or another training;
`docs/trust.md` says how well the guess ranks the errors.
"""

import torch.nn.functional as F
from torch import Tensor

WINDOW = 5
"""Height and width in pixels of the neighbourhood."""

SCALE = 0.2
"""Mean absolute error for each unit of contrast and of change, about what a least-squares fit gave on training images of CIFAR-10."""

MARGIN = WINDOW // 2
"""Pixels around a region on which its uncertainty depends."""


def uncertainty(images: Tensor, restored: Tensor) -> Tensor:
    """The guessed absolute error of each pixel, on the [0, 1] scale: images (B, 3, H, W) and restored ones -> (B, H, W)."""
    restored = restored.float().clamp(0, 1)
    mean, mean_square = _local_mean(restored), _local_mean(restored.square())
    contrast = (mean_square - mean.square()).clamp(min=0).sqrt()
    change = _local_mean((restored - images.float()).abs())
    return SCALE * (contrast + change).mean(dim=1)


def _local_mean(images: Tensor) -> Tensor:
    padded = F.pad(images, (MARGIN, MARGIN, MARGIN, MARGIN), mode="replicate")
    return F.avg_pool2d(padded, WINDOW, stride=1)
