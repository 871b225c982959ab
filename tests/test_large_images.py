"""Large images on the CPU go through OpenCV and scipy, with the results that torch has for small ones and on other devices."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from pellucid.degradations.blur import gaussian_blur
from pellucid.degradations.convolution import DENSE, DIRECT, MANY_PIXELS, _parts, convolve, pad_border
from pellucid.degradations.motion import magnify, zoom_blur
from pellucid.degradations.resampling import bicubic, blocks, resample, resample_sparsely
from pellucid.degradations.resolution import low_resolution, pixelate
from pellucid.seeding import generator

HEIGHT, WIDTH = 70, 83
DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)], ids=str)


def images(num: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    assert HEIGHT * WIDTH > MANY_PIXELS
    return torch.rand((num, 3, HEIGHT, WIDTH), generator=generator("large"), dtype=dtype)


def lines(side: int) -> Tensor:
    """A diagonal, a corner far from the centre, and values everywhere."""
    random = torch.rand((side, side), generator=generator("kernel"), dtype=torch.float64)
    corner = torch.zeros_like(random)
    corner[:2, -3:] = random[:2, -3:]
    return torch.stack((random * (torch.eye(side) + torch.eye(side).roll(1, 0)), corner, random)) / side


@DTYPES
@pytest.mark.parametrize("border", ["reflect", "replicate"])
@pytest.mark.parametrize("side", [3, 11, 13, 31, 91])
def test_convolution_is_torchs(side: int, border: str, dtype: torch.dtype, tolerance: float) -> None:
    clean, kernels = images(3, dtype), lines(side).to(dtype)
    weight = kernels.repeat_interleave(3, dim=0).unsqueeze(1)
    padded = pad_border(clean, side // 2, border).flatten(0, 1).unsqueeze(0)
    expected = conv2d(padded, weight, groups=9).view(clean.shape)
    torch.testing.assert_close(convolve(clean, kernels, border), expected, rtol=0, atol=tolerance * side)


@pytest.mark.parametrize("side", [1, 5, 11, 13, 31, 91])
def test_parts_hold_every_value_of_the_kernel_once(side: int) -> None:
    for kernel in lines(side).numpy():
        total = torch.zeros(side, side, dtype=torch.float64)
        parts = _parts(kernel)
        for part, top, left in parts:
            total[top + side // 2 :, left + side // 2 :][: part.shape[0], : part.shape[1]] += torch.from_numpy(part)
        assert torch.equal(total, torch.from_numpy(kernel))
        assert (kernel != 0).sum() >= DENSE or max(part.size for part, _, _ in parts) <= DIRECT


def test_a_kernel_of_zeros() -> None:
    assert torch.equal(convolve(images(), torch.zeros(2, 5, 5)), torch.zeros_like(images()))


def test_blur_with_a_sigma_for_each_image() -> None:
    clean, sigma = images(3), torch.tensor([0.0, 0.7, 6.0])
    together = gaussian_blur(clean, sigma, generator("unused"))
    for image, deviation, blurred in zip(clean, sigma, together, strict=True):
        torch.testing.assert_close(gaussian_blur(image[None], deviation[None], generator("unused"))[0], blurred, rtol=0, atol=1e-6)
    torch.testing.assert_close(together[0], clean[0], rtol=0, atol=0)


def densely(clean: Tensor, weights: Callable[..., Any], size: tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) resampled by dense matrices."""
    num, channels, height, width = clean.shape
    planes = resample(clean.permute(2, 0, 1, 3).reshape(height, -1, width), weights, size)
    return planes.view(size[0], num, channels, size[1]).permute(1, 2, 0, 3)


def sparsely(clean: Tensor, weights: Callable[..., Any], size: tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) resampled by sparse matrices."""
    return resample_sparsely(clean, weights, ((clean.shape[2], size[0]), (clean.shape[3], size[1])))


@DTYPES
@pytest.mark.parametrize("resampled", [densely, sparsely])
@pytest.mark.parametrize("size", [(35, 21), (1, 83), (69, 82), (70, 83), (140, 91)])
def test_bicubic_is_torchs(size: tuple[int, int], resampled: Callable[..., Tensor], dtype: torch.dtype, tolerance: float) -> None:
    expected = interpolate(images(dtype=dtype), size, mode="bicubic", antialias=True)
    torch.testing.assert_close(resampled(images(dtype=dtype), bicubic, size), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("weights", [bicubic, blocks])
def test_sparse_and_dense_matrices_agree(weights: Callable[..., Any]) -> None:
    torch.testing.assert_close(densely(images(), weights, (33, 50)), sparsely(images(), weights, (33, 50)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("resampled", [densely, sparsely])
def test_blocks_are_means(resampled: Callable[..., Tensor]) -> None:
    small = resampled(images(), blocks, (35, 83))
    torch.testing.assert_close(small, images().unflatten(2, (35, 2)).mean(dim=3), rtol=0, atol=1e-6)
    assert torch.equal(resampled(small, blocks, (70, 83)), small.repeat_interleave(2, dim=2))


@pytest.mark.parametrize(("degradation", "strengths"), [(low_resolution, (1.5, 3.0, 1.5)), (pixelate, (0.3, 0.7, 0.3))])
def test_large_images_are_resampled_as_small_ones(
    degradation: Callable[..., Tensor], strengths: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, factors = images(3), torch.tensor(strengths)
    large = degradation(clean, factors, generator("unused"))
    monkeypatch.setattr("pellucid.degradations.resolution.suits_opencv", lambda _: False)
    torch.testing.assert_close(degradation(clean, factors, generator("unused")), large, rtol=0, atol=2e-6)


@DTYPES
def test_zoom_blur_is_the_mean_of_magnified_images(dtype: torch.dtype, tolerance: float) -> None:
    clean = images(dtype=dtype)
    for last, num in ((1.2, 4), (1.0, 0)):
        blurred = zoom_blur(clean, torch.full((2,), last), torch.full((2,), 0.05), generator("unused"))
        total = 2 * clean + sum(magnify(clean, 1 + 0.05 * index) for index in range(1, num + 1))
        torch.testing.assert_close(blurred, total / (num + 2), rtol=0, atol=max(tolerance, 1e-6))


def test_large_images_of_several_factors() -> None:
    clean, factors = images(4), torch.tensor([1.0, 1.5, 4.0, 1.5])
    together = low_resolution(clean, factors, generator("unused"))
    torch.testing.assert_close(together[0], clean[0], rtol=0, atol=1e-6)
    for index, factor in enumerate(factors):
        alone = low_resolution(clean[index : index + 1], factor[None], generator("unused"))[0]
        torch.testing.assert_close(together[index], alone, rtol=0, atol=1e-6)
