"""Gaussian blur."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

TRUNCATE = 4.0
"""Truncation radius in sigmas, where the Gaussian is 0.03 % of its peak; as in scipy.ndimage and, for floats, OpenCV."""


def gaussian_blur(images: Tensor, sigma: Tensor, _generator: Generator) -> Tensor:
    """Convolves each image with a Gaussian, with replicate padding at the border.

    images: (B, 3, H, W) in [0, 1]; sigma: (B,) in pixels, 0 for no change. The kernel radius is round(4 sigma) pixels.
    """
    import torch
    from torch.nn.functional import conv2d, pad

    num, channels, height, _ = images.shape
    if num == 0:
        return images.clone()
    sigma = sigma.to(images.dtype).view(-1, 1)
    reach = (TRUNCATE * sigma + 0.5).floor()
    radius = int(reach.max())
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    # Each image has its own radius: its result must not depend on a stronger blur elsewhere in the batch.
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)).square()) * (offsets.abs() <= reach)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)

    # Grouped convolution, one group per image and channel, so that each image has its own kernel.
    planes = pad(images, (radius, radius, radius, radius), mode="replicate").reshape(1, num * channels, height + 2 * radius, -1)
    planes = conv2d(planes, kernels[:, None, :, None], groups=num * channels)
    planes = conv2d(planes, kernels[:, None, None, :], groups=num * channels)
    return planes.reshape(images.shape).clamp_(0, 1)
