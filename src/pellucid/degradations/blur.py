"""Blur: Gaussian, defocus, glass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.convolution import convolve, convolve_separable
from pellucid.degradations.fields import uniform
from pellucid.double import double
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

TRUNCATE = 4.0
"""Truncation radius in sigmas, where the Gaussian is 0.03 % of its peak; as in scipy.ndimage and, for floats, OpenCV."""

MAX_ROUNDS = 3
"""Maximum number of rounds of the glass blur; random numbers are always drawn for all of them."""


def gaussian_blur(images: Tensor, sigma: Tensor, _generator: Generator) -> Tensor:
    """Convolves each image with a Gaussian, with replicate padding at the border.

    images: (B, 3, H, W) in [0, 1]; sigma: (B,) in pixels, 0 for no change. The kernel radius is round(4 sigma) pixels.
    """
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
    if len(images) == 0:
        return images.clone()
    radius = radius.to(images.dtype).view(-1, 1, 1)
    discs = (_distances(math.ceil(float(radius.max())) + 2, images) <= radius).to(images.dtype)
    neighbour = torch.exp(-0.5 / softness.to(images.dtype).square()).view(-1, 1, 1)
    for dim in (1, 2):
        discs = discs + neighbour * (discs.roll(1, dim) + discs.roll(-1, dim))
    return convolve(images, discs / discs.sum(dim=(1, 2), keepdim=True)).clamp_(0, 1)


def glass_blur(images: Tensor, sigma: Tensor, reach: Tensor, rounds: Tensor, generator: Generator) -> Tensor:
    """Blurs, lets every pixel take the value of a random neighbour, and blurs again (Hendrycks and Dietterich 2019).

    sigma: (B,) of the blur, in pixels; reach: (B,) in pixels, neighbours lie from `-reach` to `reach - 1` rows and columns away; rounds:
    (B,) how often, at most 3; both are rounded. As in the published program, pixels are processed one after the other, from the last to the
    first, a value may move several times, and the pixels within `reach` of the border keep theirs.
    """
    num, channels, height, width = images.shape
    result = gaussian_blur(images, sigma, generator)
    reach, rounds = (double(value).round().view(-1, 1, 1) for value in (reach, rounds))
    row, column = torch.arange(height, device=images.device).view(-1, 1), torch.arange(width, device=images.device)
    inside = (row > reach) & (row <= height - reach) & (column > reach) & (column <= width - reach)
    for index in range(MAX_ROUNDS):
        drawn = uniform(images, generator, 2, height, width)
        moved = inside & (rounds > index)
        if not moved.any():
            continue
        shifts = (double(drawn.transpose(0, 1)) * 2 * reach).floor() - reach
        source = ((row + shifts[0]) * width + column + shifts[1]).long()
        here = (row * width + column).expand_as(source)
        source = _followed(torch.where(moved, source, here).view(num, -1), here.reshape(num, -1))
        result = result.reshape(num, channels, -1).gather(2, source.unsqueeze(1).expand(-1, channels, -1)).view(images.shape)
    return gaussian_blur(result, sigma, generator)


def _distances(reach: int, like: Tensor) -> Tensor:
    """Distance of every pixel of a square of side 2 reach + 1 from its centre, in pixels."""
    offsets = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    return (offsets.square() + offsets.square().view(-1, 1)).sqrt()


def _followed(source: Tensor, here: Tensor) -> Tensor:
    """The final source of each pixel, (B, H * W) indices, if pixels take the values of their sources in turn, from the last to the first.

    A source after the pixel has changed before; such chains are followed by pointer doubling.
    """
    later = source > here
    while later.any():
        source, later = torch.where(later, source.gather(1, source), source), later & later.gather(1, source)
    return source
