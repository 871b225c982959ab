"""Weather: fog, rain, snow and frost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.fields import plasma, smooth_noise, uniform
from pellucid.degradations.motion import line_blur, magnify, trail_blur
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor


def fog(images: Tensor, density: Tensor, generator: Generator) -> Tensor:
    """Blends each image with airlight, more at larger distances (Koschmieder 1924).

    density: (B,) optical depth of the fog up to the horizon. Distance grows from the lower edge of the image to the upper one; the fog has
    patches; the air's light is a grey from 0.75 to 0.95.
    """
    patches = 0.6 + 0.8 * plasma(images, images.new_full((len(images),), 1.5), generator)
    air = 0.75 + 0.2 * uniform(images, generator, 1, 1, 1)
    distance = torch.linspace(1, 0.25, images.shape[2], device=images.device, dtype=images.dtype).view(-1, 1)
    transmission = torch.exp(-density.to(images.dtype).view(-1, 1, 1, 1) * distance * patches)
    return torch.lerp(air, images, transmission)


def plasma_fog(images: Tensor, amount: Tensor, decay: Tensor, generator: Generator) -> Tensor:
    """The fog of CIFAR-10-C and ImageNet-C: adds fractal noise, and scales the sum back to the image's maximum.

    amount: (B,) maximum that is added, on the [0, 1] scale; decay: (B,) as in `plasma`, smaller for rougher fog.
    """
    amount = amount.to(images.dtype).view(-1, 1, 1, 1)
    greatest = images.amax(dim=(1, 2, 3), keepdim=True)
    return ((images + amount * plasma(images, decay, generator)) * (greatest / (greatest + amount + 1e-12))).clamp_(0, 1)


def rain(images: Tensor, cover: Tensor, generator: Generator) -> Tensor:
    """Bright translucent streaks, nearly upright, before a scene that the rain veils.

    cover: (B,) share of the image that the streaks cover, from 0 to 1. Streaks are from 1/12 to 1/6 of the image's shorter side long.
    """
    drops = uniform(images, generator, 1, *images.shape[2:])
    slant, stretch = uniform(images, generator, 2).unbind(dim=1)
    length = (min(images.shape[2:]) * (1 + stretch) / 12).clamp(min=1).to(images.dtype)
    cover = cover.to(images.dtype).view(-1, 1, 1, 1)
    density = cover / length.view(-1, 1, 1, 1)
    fallen = (drops * (0.6 / density.clamp(min=1e-12))).add_(0.4).mul_(drops.lt_(density))
    streaks = line_blur(fallen, length - 1, math.pi / 2 + 0.5 * (slant - 0.5)).mul_(length.view(-1, 1, 1, 1)).clamp_(0, 1)
    # Not `lerp`, which takes five times as long as a product and a sum where its weights are broadcast.
    veiled = (images * (1 - 0.5 * cover)).add_(0.3 * cover)
    return torch.lerp(veiled, images.new_tensor(0.95), streaks.mul_(0.6)).clamp_(0, 1)


def snow(
    images: Tensor,
    mean: Tensor,
    deviation: Tensor,
    zoom: Tensor,
    threshold: Tensor,
    radius: Tensor,
    sigma: Tensor,
    keep: Tensor,
    generator: Generator,
) -> Tensor:
    """Blurred flakes, the brightest of magnified noise, over an image that is whitened (Hendrycks and Dietterich 2019).

    mean, deviation: (B,) of the noise; zoom: (B,) its magnification; threshold: (B,) from which on it is a flake; radius, sigma: (B,) in
    pixels, of the flakes' blur, see `trail_blur`; keep: (B,) share of the image that is not whitened.
    """
    num, _, height, width = images.shape
    noise = torch.randn((num, 1, height, width), generator=generator, device=images.device, dtype=images.dtype)
    angle = math.pi * (uniform(images, generator) - 1.5) / 2
    layer = torch.empty_like(noise)
    for factor in set(zoom.tolist()):
        chosen = zoom == factor
        layer[chosen] = magnify(noise[chosen], factor)
    mean, deviation, threshold, keep = (value.to(images.dtype).view(-1, 1, 1, 1) for value in (mean, deviation, threshold, keep))
    layer = layer.mul_(deviation).add_(mean)
    flakes = trail_blur(torch.where(layer < threshold, 0, layer).clamp_(0, 1), radius, sigma, angle)
    grey = (images * images.new_tensor((0.299, 0.587, 0.114)).view(3, 1, 1)).sum(dim=1, keepdim=True)
    whitened = torch.lerp(torch.maximum(images, 1.5 * grey + 0.5), images, keep)
    return (whitened + flakes + flakes.flip((2, 3))).clamp_(0, 1)


def frost(images: Tensor, keep: Tensor, cover: Tensor, generator: Generator) -> Tensor:
    """A weighted sum of the image and of ice on a window; keep, cover: (B,) the weights.

    The published frost adds photographs, which can not be redistributed. This ice is procedural: needles in several directions on uneven,
    bluish grey, with the photographs' range of brightness and contrast. The weights are the published ones, the patterns differ.
    """
    keep, cover = (value.to(images.dtype).view(-1, 1, 1, 1) for value in (keep, cover))
    return (keep * images + cover * _ice(images, generator)).clamp_(0, 1)


def _ice(images: Tensor, generator: Generator) -> Tensor:
    """Procedural frost: (B, 3, H, W)."""
    num, side = len(images), min(images.shape[2:])
    directions = 4
    patches, _ = smooth_noise(images, images.new_full((num,), side / 10), generator)
    seeds = uniform(images, generator, directions, *images.shape[2:])
    first, reach, level, strength, blue = uniform(images, generator, 5).unbind(dim=1)
    length = side * (0.1 + 0.2 * reach)
    needles = torch.zeros_like(patches)
    for index in range(directions):
        grown = (seeds[:, index : index + 1] < 0.06).to(images.dtype)
        needles = torch.maximum(needles, line_blur(grown, length, math.pi * (first + (index + 0.3 * reach) / directions)))
    needles = needles - needles.mean(dim=(2, 3), keepdim=True)
    needles = needles / needles.square().mean(dim=(2, 3), keepdim=True).sqrt().clamp(min=1e-6)
    relief = (0.06 + 0.08 * strength).view(-1, 1, 1, 1) * (0.8 * needles + 0.6 * patches)
    # As the published photographs: two of the five are nearly white, the others grey; one is strongly blue.
    mean = torch.where(level < 0.4, 0.81, 0.48 + 0.2 * (level - 0.4)).view(-1, 1, 1, 1)
    tint = (0.03 + 0.12 * blue.square()).view(-1, 1, 1, 1) * images.new_tensor((-1.2, 0.2, 1.0)).view(3, 1, 1)
    return (mean + tint + relief).clamp_(0, 1)
