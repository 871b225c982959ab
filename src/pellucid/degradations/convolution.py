"""Convolution of every image with a kernel of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 19
"""Side in pixels from which on a kernel is applied by the Fourier transform, which then takes less time than the direct sum."""

SMOOTH = (16, 18, 20, 24, 27, 30, 32, 36, 40, 45, 48, 54, 60, 64, 72, 80, 90, 96, 108, 120, 128)
"""Lengths, up to a power of two, of which the Fourier transform is fast."""


def convolve(images: Tensor, kernels: Tensor, border: Literal["replicate", "reflect"] = "reflect") -> Tensor:
    """Correlates each image (B, C, H, W) with its kernel (B, K, K), K odd, in the images' dtype.

    border: what lies outside the image: its edge pixels, or its mirror image without the edge repeated, as OpenCV's default has it.
    """
    import torch
    from torch.nn.functional import conv2d

    num, channels, height, width = images.shape
    side = kernels.shape[-1]
    if num == 0:
        return images.clone()
    padded = pad(images, side // 2, border)
    if side < LARGE:
        # One group for each image and channel, so that each image has its own kernel.
        weight = kernels.repeat_interleave(channels, dim=0).unsqueeze(1)
        result: Tensor = conv2d(padded.reshape(1, num * channels, *padded.shape[2:]), weight, groups=num * channels)
        return result.view(images.shape)
    size = [_smooth(length) for length in padded.shape[2:]]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernels, s=size).conj().unsqueeze(1)
    result = torch.fft.irfft2(spectrum, s=size)[..., :height, :width]
    return result.contiguous()


def pad(images: Tensor, radius: int, border: Literal["replicate", "reflect"]) -> Tensor:
    """Images (B, C, H, W) with `radius` more pixels on every side, of any radius and size."""
    import torch
    from torch.nn import functional

    if border == "replicate" or radius < min(images.shape[2:]):
        return functional.pad(images, (radius,) * 4, mode=border)
    for dim in (2, 3):  # reflected several times, which torch does not do
        length = images.shape[dim]
        period = max(1, 2 * (length - 1))
        at = torch.arange(-radius, length + radius, device=images.device).remainder(period)
        images = images.index_select(dim, torch.minimum(at, period - at))
    return images


def _smooth(length: int) -> int:
    """The smallest length of at least `length` that is one of `SMOOTH` times a power of two."""
    factor = 1
    while SMOOTH[-1] * factor < length:
        factor *= 2
    return next(factor * smooth for smooth in SMOOTH if factor * smooth >= length)
