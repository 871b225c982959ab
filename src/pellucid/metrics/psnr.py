"""Peak signal-to-noise ratio."""

import torch
from torch import Tensor

from pellucid.batch import Batch, Output

MAX_PSNR = 100.0
"""Upper limit of the PSNR in dB, that of an RMSE of 1e-5: identical images have an infinite PSNR, which cannot be averaged."""


def psnr_of(images: Tensor, clean: Tensor, where: Tensor | None = None) -> Tensor:
    """10 log10(1 / MSE) in dB of each image over all pixels and channels, at most `MAX_PSNR`.

    images, clean: (B, 3, H, W); where: (B, 1, H, W) bool, the pixels to include, all by default; NaN for an image without any.
    """
    errors = (images.float().clamp(0, 1) - clean.float()).square().mean(dim=1, keepdim=True)
    weights = torch.ones_like(errors) if where is None else where.float()
    mse = (errors * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))
    return (-10 * mse.log10()).clamp(max=MAX_PSNR)


def psnr(output: Output, batch: Batch) -> Tensor | None:
    """PSNR of the restored image in dB: (B,); `None` without one."""
    return None if output.restored is None else psnr_of(output.restored, batch.clean)


def mask_psnr(output: Output, batch: Batch) -> Tensor | None:
    """PSNR of the restored image over its destroyed pixels only, NaN where there are none: (B,); `None` without a restored image."""
    return None if output.restored is None else psnr_of(output.restored, batch.clean, batch.damage.mask)


def input_psnr(_output: Output, batch: Batch) -> Tensor | None:
    """PSNR of the degraded image, the baseline without restoration: (B,)."""
    return psnr_of(batch.degraded, batch.clean)
