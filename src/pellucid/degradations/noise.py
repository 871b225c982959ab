"""Noise: of sensors (Gaussian, Poisson, impulses), of MRI (Rician) and of X-rays at low dose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

OPACITY = 4.0
"""Attenuation of a white pixel of a radiograph, as a natural logarithm: about 2 % of the photons pass."""


def gaussian_noise(images: Tensor, sigma: Tensor, generator: Generator) -> Tensor:
    """Adds independent Gaussian noise to every pixel and channel, then clips to [0, 1].

    images: (B, 3, H, W) in [0, 1]; sigma: (B,) standard deviation on the [0, 1] scale. On CPU the noise is the same on every machine for
    float64 images only: for float32 torch's algorithm depends on the processor's vector instructions.
    """
    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return noise.mul_(sigma.view(-1, 1, 1, 1)).add_(images).clamp_(0, 1)


def poisson_noise(images: Tensor, photons: Tensor, generator: Generator) -> Tensor:
    """Replaces every value by a count of photons, divided by that expected for white; photons: (B,) that number, at least 1."""
    photons = photons.to(images.dtype).view(-1, 1, 1, 1)
    return _poisson(images * photons, generator).div_(photons).clamp_(0, 1)


def impulse_noise(images: Tensor, share: Tensor, generator: Generator) -> Tensor:
    """Sets values, each channel by itself, to 0 or 1 with equal probability ("salt and pepper"); share: (B,) of the values, 0 to 1."""
    draws = torch.rand(images.shape, generator=generator, device=images.device, dtype=torch.float32)
    half = share.to(torch.float32).view(-1, 1, 1, 1) / 2
    # By products, since `masked_fill` takes ten times as long; comparisons in place yield 0 and 1 and take a tenth of those to bool.
    ones = draws.clone().gt_(1 - half).to(images.dtype)
    return draws.ge_(half).to(images.dtype).mul_(images).maximum(ones)


def rician_noise(images: Tensor, sigma: Tensor, generator: Generator) -> Tensor:
    """Noise of MRI: the magnitude of a complex signal, both parts of which have Gaussian noise (Gudbjartsson and Patz 1995).

    sigma: (B,) standard deviation of each part on the [0, 1] scale. The noise is the same in all channels, so that grey images stay grey.
    """
    num, _, height, width = images.shape
    noise = torch.randn((2, num, 1, height, width), generator=generator, device=images.device, dtype=images.dtype)
    real, imaginary = noise.mul_(sigma.view(-1, 1, 1, 1)).unbind()
    return real.add(images).square_().add_(imaginary.square_()).sqrt_().clamp_(0, 1)


def low_dose(images: Tensor, photons: Tensor, generator: Generator) -> Tensor:
    """Noise of X-ray images and CT: counts of photons behind an attenuating body (law of Beer and Lambert), their logarithm shown.

    photons: (B,) in a pixel of the unattenuated beam, at least 1. As in radiographs, bright regions attenuate more and are noisier. The
    noise is the same in all channels, so that grey images stay grey.
    """
    photons = photons.to(images.dtype).view(-1, 1, 1, 1)
    grey = images.mean(dim=1, keepdim=True)
    counts = _poisson(photons * (-OPACITY * grey).exp_(), generator).clamp_(min=0.5)  # a pixel without a photon is not infinitely dense
    return (images + counts.div_(photons).log_().div_(-OPACITY).sub_(grey)).clamp_(0, 1)


def _poisson(rates: Tensor, generator: Generator) -> Tensor:
    """Poisson counts with these rates (B, ...), with a separate generator for each image: how many numbers are drawn depends on the
    rates."""
    seeds = torch.randint(2**62, (len(rates),), generator=generator, device=rates.device)
    rates = rates.contiguous()
    counts = torch.empty_like(rates)
    for index, seed in enumerate(seeds.tolist()):
        own = torch.Generator(rates.device).manual_seed(seed)
        counts[index] = torch.poisson(rates[index], generator=own)
    return counts
