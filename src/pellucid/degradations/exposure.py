"""Exposure: low light, over-exposure, brightness, contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

FULL_WELL = 1000.0
"""Full-well capacity of a photosite in electrons, of a small sensor at raised sensitivity."""

READ_NOISE = 0.003
"""Standard deviation of a sensor's read noise, on the linear scale on which white is 1."""


def low_light(images: Tensor, stops: Tensor, generator: Generator) -> Tensor:
    """Underexposure with shot noise and read noise.

    stops: (B,) of underexposure; each halves the light. Values are treated as square roots of light, an approximation of the sRGB curve.
    """
    light = images.square().mul_(_factor(images, -stops))
    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return noise.mul_((light / FULL_WELL + READ_NOISE**2).sqrt_()).add_(light).clamp_(0, 1).sqrt_()


def over_exposure(images: Tensor, stops: Tensor, _generator: Generator) -> Tensor:
    """Overexposure: values above white are clipped; stops: (B,), each doubles the light."""
    return (images * _factor(images, stops / 2)).clamp_(max=1)


def brightness(images: Tensor, amount: Tensor, _generator: Generator) -> Tensor:
    """Adds `amount` (B,), on the [0, 1] scale, to the value of hue, saturation and value."""
    value = images.amax(dim=1, keepdim=True)
    brighter = (value + amount.to(images.dtype).view(-1, 1, 1, 1)).clamp_(0, 1)
    # Hue and saturation stay if all three channels are multiplied by the same; black has none and becomes grey.
    result = images * (brighter / value.clamp(min=1e-6))
    return result.add_(brighter.mul_(value.eq_(0))).clamp_(max=1)


def contrast(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Multiplies each channel's distance from its mean over the image; factor: (B,) from 0 to 1."""
    factor = factor.to(images.dtype).view(-1, 1, 1, 1)
    mean = images.mean(dim=(2, 3), keepdim=True)
    # Not `lerp`, which takes five times as long as a product and a sum where its weights are broadcast.
    return (images * factor).add_(mean * (1 - factor)).clamp_(0, 1)


def _factor(images: Tensor, stops: Tensor) -> Tensor:
    return stops.to(images.dtype).exp2().view(-1, 1, 1, 1)
