"""Random fields: smooth noise and fractal noise over the image, for weather, wear and warping."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.convolution import suits_opencv
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

NEGLIGIBLE = 1e-7
"""Amplitude below which a frequency is omitted."""

MAX_PLASMA = 2048
"""Points along each side of fractal noise, a power of two: of a panorama's longer side, the square would fill the memory."""


def uniform(images: Tensor, generator: Generator, *shape: int) -> Tensor:
    """Uniform random numbers in [0, 1) for each image, (B, *shape), drawn in float32 and returned in the images' dtype."""
    return torch.rand((len(images), *shape), generator=generator, device=images.device, dtype=torch.float32).to(images.dtype)


def smooth_noise(images: Tensor, sigma: Tensor, generator: Generator, channels: int = 1) -> tuple[Tensor, Tensor]:
    """White noise smoothed by a Gaussian with symmetric borders: fields (B, channels, H, W) of unit variance, and (B,) deviations.

    sigma: (B,) in pixels; the deviations are the standard deviations of smoothed white noise of unit variance. The Gaussian is applied as a
    product to the coefficients of the discrete cosine transform, which are white noise themselves and are drawn directly.
    """
    num, _, height, width = images.shape
    noise = torch.randn((num, channels, height, width), generator=generator, device=images.device, dtype=images.dtype)
    sigma = sigma.to(images.dtype)
    rows, columns = (_response(length, sigma) for length in (height, width))
    noise = noise[:, :, : rows.shape[1], : columns.shape[1]] * rows[:, None, :, None] * columns[:, None, None, :]
    if suits_opencv(images) and 2 * noise.shape[2] > height:  # with fewer frequencies, products take less time
        from scipy.fft import idctn

        fields = torch.from_numpy(idctn(noise.numpy(), s=(height, width), axes=(2, 3), norm="ortho"))
    else:
        fields = cosines(height, noise.shape[2], noise).T @ noise @ cosines(width, noise.shape[3], noise)
    deviation = (rows.square().sum(dim=1) / height * columns.square().sum(dim=1) / width).sqrt()
    return fields / deviation.view(-1, 1, 1, 1), deviation


def plasma(images: Tensor, decay: Tensor, generator: Generator) -> Tensor:
    """Fractal noise by the diamond-square algorithm (Fournier, Fussell and Carpenter 1982), from 0 to 1: (B, 1, H, W).

    decay: (B,) factor by which the deviations shrink, squared, at every halving of the grid. The field is part of a periodic one whose side
    is the next power of two; its last halvings are left out beyond `MAX_PLASMA` points, and interpolated.
    """
    num, _, height, width = images.shape
    whole = max(1, math.ceil(math.log2(max(height, width))))
    steps = min(whole, MAX_PLASMA.bit_length() - 1)
    shrinks = decay.to(images.dtype).view(-1, 1, 1).square()
    grid = images.new_zeros(num, 1, 1)
    amplitude = torch.ones_like(shrinks)
    for _ in range(steps):
        side = grid.shape[1]
        noise = amplitude * (2 * uniform(images, generator, 3, side, side).transpose(0, 1) - 1)
        right, below = grid.roll(-1, 2), grid.roll(-1, 1)
        centres = (grid + right + below + right.roll(-1, 1)) / 4 + noise[0]
        tops = (centres + centres.roll(1, 1) + grid + right) / 4 + noise[1]
        lefts = (centres + centres.roll(1, 2) + grid + below) / 4 + noise[2]
        even, odd = torch.stack((grid, tops), dim=3).flatten(2), torch.stack((lefts, centres), dim=3).flatten(2)
        grid = torch.stack((even, odd), dim=2).flatten(1, 2)
        amplitude = amplitude / shrinks
    # The extremes are those of the whole periodic field, as in the published fog.
    least, greatest = grid.amin(dim=(1, 2), keepdim=True), grid.amax(dim=(1, 2), keepdim=True)
    field = ((grid - least) / (greatest - least)).unsqueeze(1)
    scale = 2 ** (whole - steps)
    if scale > 1:
        field = torch.nn.functional.interpolate(
            field[:, :, : -(-height // scale), : -(-width // scale)], scale_factor=scale, mode="bilinear"
        )
    return field[:, :, :height, :width]


def cosines(length: int, num: int, like: Tensor) -> Tensor:
    """The first `num` functions of the orthonormal discrete cosine transform (type II) of `length` points: (num, length)."""
    at = (torch.arange(length, device=like.device, dtype=like.dtype) + 0.5) * (math.pi / length)
    frequencies = torch.arange(num, device=like.device, dtype=like.dtype)
    functions = (frequencies.view(-1, 1) * at).cos() * math.sqrt(2 / length)
    functions[0] /= math.sqrt(2)
    return functions


def _response(length: int, sigma: Tensor) -> Tensor:
    """Frequency response of a Gaussian of each sigma (B,) on the cosines: (B, frequencies), without negligible ones."""
    frequencies = torch.arange(length, device=sigma.device, dtype=sigma.dtype) * (math.pi / length)
    response = torch.exp(-0.5 * (frequencies * sigma.view(-1, 1)).square())
    num_kept = int((response > NEGLIGIBLE).any(dim=0).sum())
    return response[:, : max(1, num_kept)]
