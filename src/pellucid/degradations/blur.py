"""Isotropic blur: Gaussian and defocus."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.convolution import convolve, convolve_separable

if TYPE_CHECKING:
    from torch import Generator, Tensor

TRUNCATE = 4.0
"""Truncation radius in sigmas, where the Gaussian is 0.03 % of its peak; as in scipy.ndimage and, for floats, OpenCV."""


def gaussian_blur(images: Tensor, sigma: Tensor, _generator: Generator) -> Tensor:
    """Convolves each image with a Gaussian, with replicate padding at the border.

    images: (B, 3, H, W) in [0, 1]; sigma: (B,) in pixels, 0 for no change. The kernel radius is round(4 sigma) pixels.
    """
    import torch

    if len(images) == 0:
        return images.clone()
    sigma = sigma.to(images.dtype).view(-1, 1)
    reach = (TRUNCATE * sigma + 0.5).floor()
    radius = int(reach.max())
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    # Each image has its own radius, so that its result does not depend on other images of the batch.
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)).square()) * (offsets.abs() <= reach)
    return convolve_separable(images, kernels / kernels.sum(dim=1, keepdim=True)).clamp_(0, 1)


def defocus_blur(images: Tensor, radius: Tensor, _generator: Generator) -> Tensor:
    """Convolves each image with a disc, the point spread function of defocus; radius: (B,) in pixels, 0 for no change.

    The edge of the disc is antialiased, so that the result is continuous in the radius.
    """
    if len(images) == 0:
        return images.clone()
    radius = radius.to(images.dtype).view(-1, 1, 1)
    discs = (radius + 0.5 - _distances(math.ceil(float(radius.max())), images)).clamp(0, 1)
    return convolve(images, discs / discs.sum(dim=(1, 2), keepdim=True)).clamp_(0, 1)


def softened_disc_blur(images: Tensor, radius: Tensor, softness: Tensor, _generator: Generator) -> Tensor:
    """The defocus of CIFAR-10-C and ImageNet-C: a disc of whole pixels, itself blurred.

    radius: (B,) in pixels; softness: (B,) sigma in pixels of the Gaussian that the disc is blurred by, 3 pixels wide as published for discs
    of up to 8 pixels.
    """
    import torch

    if len(images) == 0:
        return images.clone()
    radius = radius.to(images.dtype).view(-1, 1, 1)
    discs = (_distances(math.ceil(float(radius.max())) + 2, images) <= radius).to(images.dtype)
    neighbour = torch.exp(-0.5 / softness.to(images.dtype).square()).view(-1, 1, 1)
    for dim in (1, 2):
        discs = discs + neighbour * (discs.roll(1, dim) + discs.roll(-1, dim))
    return convolve(images, discs / discs.sum(dim=(1, 2), keepdim=True)).clamp_(0, 1)


def _distances(reach: int, like: Tensor) -> Tensor:
    """Distance of every pixel of a square of side 2 reach + 1 from its centre, in pixels."""
    import torch

    offsets = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    return (offsets.square() + offsets.square().view(-1, 1)).sqrt()
