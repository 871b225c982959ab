"""Convolution of every image with a kernel of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LARGE = 23
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
    padded = pad(images, side // 2, border)
    if num == 0:
        return images.clone()
    if side < LARGE:
        # One group for each image and channel, so that each image has its own kernel.
        weight = kernels.repeat_interleave(channels, dim=0).unsqueeze(1)
        result = conv2d(padded.reshape(1, num * channels, *padded.shape[2:]), weight, groups=num * channels)
        return result.view(images.shape)
    size = [_smooth(length) for length in padded.shape[2:]]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernels, s=size).conj().unsqueeze(1)
    return torch.fft.irfft2(spectrum, s=size)[..., :height, :width].contiguous()


def pad(images: Tensor, radius: int, border: Literal["replicate", "reflect"]) -> Tensor:
    """Images (B, C, H, W) with `radius` more pixels on every side, of any radius and size."""
    rows, columns = (_positions(length, radius, border, images.device) for length in images.shape[2:])
    return images.index_select(2, rows).index_select(3, columns)


def _positions(length: int, radius: int, border: str, device: torch.device) -> Tensor:
    """For every position of the padded image that of the pixel it shows: (length + 2 radius,)."""
    import torch

    at = torch.arange(-radius, length + radius, device=device)
    if border == "replicate":
        return at.clamp(0, length - 1)
    period = max(1, 2 * (length - 1))
    at = at.remainder(period)
    return torch.minimum(at, period - at)


def _smooth(length: int) -> int:
    """The smallest length of at least `length` that is one of `SMOOTH` times a power of two."""
    factor = 1
    while SMOOTH[-1] * factor < length:
        factor *= 2
    return next(factor * smooth for smooth in SMOOTH if factor * smooth >= length)
