"""Losses of the restored image; each maps restored and clean images (B, 3, H, W) on the [0, 1] scale to (B,) losses."""

import torch
from torch import Tensor

IMAGE_DIMS = (1, 2, 3)


def l1_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute error, the paper's restoration loss (section 4.2)."""
    return (restored - clean).abs().mean(IMAGE_DIMS)


def l2_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error."""
    return (restored - clean).square().mean(IMAGE_DIMS)


def charbonnier_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Smooth L1, sqrt(x**2 + 0.001**2) (Charbonnier et al. 1994; Lai et al. 2017)."""
    return ((restored - clean).square() + 1e-6).sqrt().mean(IMAGE_DIMS)


def psnr_loss(restored: Tensor, clean: Tensor, max_psnr: float = 80.0) -> Tensor:
    """The negative PSNR of each image, in units of 10 dB: log10 of the mean squared error (Chen et al. 2021, HINet).

    max_psnr: dB toward which it saturates. Its gradient grows as the error shrinks: without a limit, undamaged images outweigh all others.
    """
    return torch.log10(l2_loss(restored, clean) + 10 ** (-max_psnr / 10))


RESTORATION_LOSSES = {"l1": l1_loss, "l2": l2_loss, "charbonnier": charbonnier_loss, "psnr": psnr_loss}
"""Keyed by the values of `ObjectiveConfig.restoration`."""
