"""The fifteen corruptions of CIFAR-10-C and ImageNet-C at their published severities (Hendrycks and Dietterich 2019).

Their strength is the severity from 1 to 5; between two severities the published parameters are interpolated. Images whose shorter side
is nearer, by its ratio, to CIFAR-10's 32 pixels than to ImageNet's 224, up to 84 pixels, get the parameters of CIFAR-10-C, larger ones
those of ImageNet-C, and lengths are scaled by the shorter side, so that they are the published ones up to 32 and at 224 pixels.
`results/corruptions.md` compares the damage with that of the original program.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pellucid.degradations.blur import glass_blur, softened_disc_blur
from pellucid.degradations.compression import jpeg
from pellucid.degradations.elastic import elastic_transform
from pellucid.degradations.exposure import brightness, contrast
from pellucid.degradations.fields import uniform
from pellucid.degradations.motion import trail_blur, zoom_blur
from pellucid.degradations.noise import gaussian_noise, impulse_noise, poisson_noise
from pellucid.degradations.resolution import pixelate
from pellucid.degradations.weather import frost, plasma_fog, snow
from pellucid.double import double
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

CIFAR_SIDE, IMAGENET_SIDE = 32, 224
"""Sides in pixels of the images of CIFAR-10-C and of ImageNet-C."""


def _motion_blur(images: Tensor, radius: Tensor, sigma: Tensor, generator: Generator) -> Tensor:
    """`trail_blur` within 45 degrees of the horizontal."""
    return trail_blur(images, radius, sigma, math.pi * (uniform(images, generator) - 0.5) / 2)


@dataclass(frozen=True, slots=True)
class Corruption:
    """One corruption.

    function: of images, a (B,) tensor for each parameter, and a generator; parameters: their names, those in pixels ending in "px"; small,
    large: their values at the severities 1 to 5 in CIFAR-10-C and in ImageNet-C; like: the equivalent rows of `DEGRADATIONS`: a
    model trained on one of them has seen this corruption.
    """

    function: Callable[..., Tensor]
    parameters: tuple[str, ...]
    small: tuple[tuple[float, ...], ...]
    large: tuple[tuple[float, ...], ...]
    like: tuple[str, ...] = ()

    def at(self, severity: Tensor, side: int) -> list[Tensor]:
        """The parameters for images of that shorter side, (B,) each, in double precision."""
        near_small = side * side < CIFAR_SIDE * IMAGENET_SIDE
        severity = double(severity)
        published = torch.tensor(self.small if near_small else self.large, dtype=severity.dtype, device=severity.device)
        scale = max(1, side / CIFAR_SIDE) if near_small else side / IMAGENET_SIDE  # below 32 pixels, lengths would vanish
        published *= published.new_tensor([scale if name.endswith("px") else 1.0 for name in self.parameters])
        below = severity.clamp(1, 5).sub(1)
        index = below.floor().clamp(max=3).long()
        return list(torch.lerp(published[index], published[index + 1], (below - index).unsqueeze(1)).unbind(dim=1))

    def corrupt(self, images: Tensor, severity: Tensor, generator: Generator) -> Tensor:
        """The corruption as a degradation, whose strength is the severity."""
        return self.function(images, *self.at(severity, min(images.shape[2:])), generator)


def _each(*values: float) -> tuple[tuple[float, ...], ...]:
    """The values of a single parameter."""
    return tuple((value,) for value in values)


# fmt: off
CORRUPTIONS = {
    "gaussian_noise": Corruption(gaussian_noise, ("sigma",),
        small=_each(0.04, 0.06, 0.08, 0.09, 0.10),
        large=_each(0.08, 0.12, 0.18, 0.26, 0.38), like=("gaussian_noise",)),
    "shot_noise": Corruption(poisson_noise, ("photons",),
        small=_each(500, 250, 100, 75, 50),
        large=_each(60, 25, 12, 5, 3), like=("poisson_noise",)),
    "impulse_noise": Corruption(impulse_noise, ("share",),
        small=_each(0.01, 0.02, 0.03, 0.05, 0.07),
        large=_each(0.03, 0.06, 0.09, 0.17, 0.27), like=("impulse_noise",)),
    "defocus_blur": Corruption(softened_disc_blur, ("radius px", "softness px"),
        small=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        large=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)), like=("defocus_blur",)),
    "glass_blur": Corruption(glass_blur, ("sigma px", "reach px", "rounds"),
        small=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        large=((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))),
    "motion_blur": Corruption(_motion_blur, ("radius px", "sigma px"),
        small=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        large=((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)), like=("motion_blur",)),
    "zoom_blur": Corruption(zoom_blur, ("last zoom", "step"),
        small=((1.06, 0.01), (1.11, 0.01), (1.15, 0.01), (1.20, 0.01), (1.25, 0.01)),
        large=((1.11, 0.01), (1.15, 0.01), (1.20, 0.02), (1.24, 0.02), (1.30, 0.03))),
    "snow": Corruption(snow, ("mean", "deviation", "zoom", "threshold", "radius px", "sigma px", "keep"),
        small=((0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
               (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)),
        large=((0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
               (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55))),
    "frost": Corruption(frost, ("keep", "cover"),
        small=((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        large=((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))),
    "fog": Corruption(plasma_fog, ("amount", "decay"),
        small=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        large=((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)), like=("fog",)),
    "brightness": Corruption(brightness, ("amount",),
        small=_each(0.05, 0.1, 0.15, 0.2, 0.3),
        large=_each(0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption(contrast, ("factor",),
        small=_each(0.75, 0.5, 0.4, 0.3, 0.15),
        large=_each(0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": Corruption(elastic_transform, ("amplitude px", "sigma px", "shift px"),
        small=tuple((32 * amplitude, 32 * sigma, 32 * shift) for amplitude, sigma, shift in
                    ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))),
        large=tuple((244 * amplitude, 244 * sigma, 244 * shift) for amplitude, sigma, shift in  # 244 as published, not 224
                    ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)))),
    "pixelate": Corruption(pixelate, ("factor",),
        small=_each(0.95, 0.9, 0.85, 0.75, 0.65),
        large=_each(0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Corruption(jpeg, ("quality",),
        small=_each(80, 65, 58, 50, 40),
        large=_each(25, 18, 15, 10, 7), like=("jpeg",)),
}
# fmt: on
"""The corruptions by their published names, in the published order."""
