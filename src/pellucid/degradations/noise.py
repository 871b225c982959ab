"""Gaussian noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def gaussian_noise(images: Tensor, sigma: Tensor, generator: Generator) -> Tensor:
    """Adds independent Gaussian noise to every pixel and channel, then clips to [0, 1].

    images: (B, 3, H, W) in [0, 1]; sigma: (B,) standard deviation on the [0, 1] scale. On CPU the noise is the same on every machine for
    float64 images only: for float32 torch's algorithm depends on the processor's vector instructions.
    """
    import torch

    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return noise.mul_(sigma.view(-1, 1, 1, 1)).add_(images).clamp_(0, 1)
