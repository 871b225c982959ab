"""Structural similarity."""

import torch
from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.double import double

WINDOW = 11
"""Side in pixels of the Gaussian window."""

SIGMA = 1.5
"""Standard deviation in pixels of the Gaussian window."""


def ssim_of(images: Tensor, clean: Tensor) -> Tensor:
    """SSIM (Wang et al. 2004) of each image for data in [0, 1], the mean over windows and channels: (B,) float32.

    images, clean: (B, 3, H, W). Only windows that lie inside the image count, as in the authors' code and in scikit-image;
    torchmetrics also counts windows that cross the border, with reflect padding. NaN where the image is smaller than a window.
    """
    if min(clean.shape[2:]) < WINDOW:
        return torch.full((len(clean),), torch.nan, device=clean.device)
    # Variances are small differences of large means. float64 is unaffected by TF32 and autocast, which the caller may have enabled.
    x, y = double(images).clamp(0, 1), double(clean)
    down, across = (double(_windows(length, clean.device)) for length in clean.shape[2:])
    # At 32 pixels, two matrix products take a tenth of the time of a convolution, which would dominate the evaluation.
    mean_x, mean_y, xx, yy, xy = down @ torch.stack((x, y, x * x, y * y, x * y)) @ across.T
    variances = (xx - mean_x**2).clamp(min=0) + (yy - mean_y**2).clamp(min=0)
    covariance = xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    result: Tensor = similarity.mean(dim=(1, 2, 3)).float()
    return result


def ssim(output: Output, batch: Batch) -> Tensor | None:
    """SSIM of the restored image: (B,); `None` without one."""
    return None if output.restored is None else ssim_of(output.restored, batch.clean)


def _windows(length: int, device: torch.device) -> Tensor:
    """The weights of every window along one side: (length - WINDOW + 1, length)."""
    num = length - WINDOW + 1
    offsets = torch.arange(length, device=device) - torch.arange(num, device=device).unsqueeze(1) - WINDOW // 2
    weights = torch.exp(-0.5 * (offsets / SIGMA).square()) * (offsets.abs() <= WINDOW // 2)
    return weights / weights.sum(dim=1, keepdim=True)
