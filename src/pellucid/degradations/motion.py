"""Motion blur: linear, with a trail, and zoom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.convolution import convolve, suits_opencv
from pellucid.degradations.fields import uniform
from pellucid.degradations.resampling import magnification, magnified, resample_sparsely
from pellucid.double import double
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor


def motion_blur(images: Tensor, length: Tensor, generator: Generator) -> Tensor:
    """Averages each image along a line in a random direction; length: (B,) in pixels, 0 for no change."""
    angle = math.pi * uniform(images, generator)
    return line_blur(images, length, angle)


def line_blur(images: Tensor, length: Tensor, angle: Tensor) -> Tensor:
    """Averages each image along a line; length: (B,) in pixels; angle: (B,) in radians from the horizontal.

    The ends of the line are antialiased, so that the result is continuous in the length.
    """
    if len(images) == 0:
        return images.clone()
    half = length.to(images.dtype).view(-1, 1, 1) / 2
    reach = math.ceil(float(half.max()))
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    cosine, sine = (value.to(images.dtype).view(-1, 1, 1) for value in (angle.cos(), angle.sin()))
    along = offsets * cosine + offsets.view(-1, 1) * sine
    across = offsets.view(-1, 1) * cosine - offsets * sine
    line = (half + 0.5 - along.abs()).clamp(0, 1) * (1 - across.abs()).clamp(min=0)
    return convolve(images, line / line.sum(dim=(1, 2), keepdim=True)).clamp_(0, 1)


def trail_blur(images: Tensor, radius: Tensor, sigma: Tensor, angle: Tensor) -> Tensor:
    """ImageMagick's motion blur: every pixel is a mean of those on a line from it, with the weights of half a Gaussian.

    radius: (B,), the line has 2 ceil(radius) + 1 pixels; sigma: (B,) of the Gaussian, in pixels; angle: (B,) in radians, of the line, where
    0 points to the right and a quarter turn down. Positions are rounded to whole pixels; what lies outside repeats the edge.
    """
    num = len(images)
    if num == 0:
        return images.clone()
    taps = 2 * double(radius).ceil().view(-1, 1) + 1
    reach = int(taps.max()) - 1
    steps = torch.arange(reach + 1, device=images.device, dtype=taps.dtype)
    weights = torch.exp(-0.5 * (steps / double(sigma).clamp(min=1e-3).view(-1, 1)).square()) * (steps < taps)
    weights = (weights / weights.sum(dim=1, keepdim=True)).to(images.dtype)
    reach = int((steps * (weights > 1e-6)).max())  # negligible weights only cost time
    rows, columns = (
        (steps * double(part).view(-1, 1) - 0.5).ceil().long().clamp(-reach, reach) + reach for part in (angle.sin(), angle.cos())
    )
    kernels = images.new_zeros(num, (2 * reach + 1) ** 2).scatter_add_(1, rows * (2 * reach + 1) + columns, weights)
    return convolve(images, kernels.view(num, 2 * reach + 1, 2 * reach + 1), border="replicate").clamp_(0, 1)


def zoom_blur(images: Tensor, last: Tensor, step: Tensor, _generator: Generator) -> Tensor:
    """The mean of each image, counted twice, and of versions magnified about its centre: by 1, 1 + step, 1 + 2 step and so on up to `last`.

    last, step: (B,), at least 1 and above 0. Images of equal zooms are magnified together.
    """
    result = torch.empty_like(images)
    zooms = double(torch.stack((last, step), dim=1))
    for greatest, by in set(map(tuple, zooms.tolist())):
        chosen = (zooms == zooms.new_tensor((greatest, by))).all(dim=1)
        factors = [1 + index * by for index in range(int((greatest - 1) / by + 1e-3) + 1)]
        if suits_opencv(images) and len(factors) > 1:
            height, width = images.shape[2:]
            total = resample_sparsely(images[chosen], magnified, *(((height, factor), (width, factor)) for factor in factors[1:]))
            total.add_(images[chosen], alpha=2)
        else:
            part = images[chosen].contiguous(memory_format=torch.channels_last)  # in which torch magnifies twice as fast
            total = 2 * part
            for factor in factors[1:]:
                total += magnify(part, factor)
        result[chosen] = total.div_(len(factors) + 1)
    return result.clamp_(0, 1)


def magnify(images: Tensor, zoom: float) -> Tensor:
    """Images (B, C, H, W) magnified about their centres by `zoom`, at least 1, and cropped to their size, like `scipy.ndimage.zoom`."""
    size = images.shape[2:]
    (rows, high, top, above), (columns, wide, left, before) = (magnification(length, zoom) for length in size)
    large = torch.nn.functional.interpolate(
        images[:, :, top : top + rows, left : left + columns], (high, wide), mode="bilinear", align_corners=True
    )
    return large[:, :, above : above + size[0], before : before + size[1]]
