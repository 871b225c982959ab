"""Wear of photographs and paintings: scratches, tears, stains and fading."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.fields import smooth_noise, uniform
from pellucid.double import double
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

MAX_SCRATCHES = 50
"""Maximum number of scratches of an image; random numbers are always drawn for all of them."""

STAINS = (1.0, 0.6, 0.35)
"""Sizes of the stains of an image, relative to the largest one."""


def scratch_mask(images: Tensor, number: Tensor, generator: Generator) -> Tensor:
    """Thin, slightly bent lines at random positions and angles; returns (B, 1, H, W) bool.

    images: (B, 3, H, W), for their shape and device; number: (B,) of scratches, rounded. Their length is 1/10 to 6/10 of the image's
    shorter side, their width 1/500 to 1/120 of it and a pixel at least.
    """
    num, _, height, width = images.shape
    side = min(height, width)
    drawn = double(uniform(images, generator, 6, MAX_SCRATCHES))
    mask = torch.zeros((num, height, width), dtype=torch.bool, device=images.device)
    number = number.round().view(-1, 1, 1)
    for index in range(min(MAX_SCRATCHES, int(number.max()) if num else 0)):
        top, left, turn, extent, bend, thick = drawn[:, :, index].view(num, 6, 1, 1).unbind(dim=1)
        along, across = _turned(images, top, left, math.pi * turn)
        length = side * (0.1 + 0.5 * extent.square())
        thickness = (side * (0.002 + 0.0063 * thick.square())).clamp(min=1)
        line = across - 0.4 * (bend - 0.5) * along.square() / length
        mask |= (line.abs() < thickness / 2) & (along.abs() < length / 2) & (index < number)
    return mask.unsqueeze(1)


def scratch_colour(images: Tensor, generator: Generator) -> Tensor:
    """The colour of scratches: light grey in three of five images, dark grey in the others."""
    light, shade = uniform(images, generator, 2, 1, 1, 1).unbind(dim=1)
    return torch.where(light < 0.6, 0.8 + 0.2 * shade, 0.2 * shade).expand_as(images)


def tear_mask(images: Tensor, width: Tensor, generator: Generator) -> Tensor:
    """A jagged wedge from beyond the border to a point inside the image; returns (B, 1, H, W) bool.

    images: (B, 3, H, W), for their shape and device; width: (B,) in pixels, half a side's length before the point.
    """
    num = len(images)
    side = min(images.shape[2:])
    drawn = double(uniform(images, generator, 8)).view(num, 8, 1, 1)
    top, left, turn, *phases = drawn.unbind(dim=1)
    along, across = _turned(images, 0.3 + 0.4 * top, 0.3 + 0.4 * left, 2 * math.pi * turn)
    jags = sum(
        (2 * math.pi * (frequency * along / side + phase)).sin() * (0.12 / frequency)
        for frequency, phase in zip((1, 3.3, 7.7, 17, 41), phases, strict=True)
    )
    half = double(width).view(-1, 1, 1) * (-along / side).clamp(min=0)
    return ((across - side * jags).abs() < torch.where(half > 0, half.clamp(min=0.5) * (width.view(-1, 1, 1) > 0), 0)).unsqueeze(1)


def paper(images: Tensor, generator: Generator) -> Tensor:
    """The colour of tears: one shade of old paper for each image, (B, 3, H, W)."""
    shade, age = uniform(images, generator, 2, 1, 1, 1).unbind(dim=1)
    return ((0.85 + 0.15 * shade) * (1 - age * images.new_tensor((0.02, 0.06, 0.18)).view(3, 1, 1))).expand_as(images)


def stains(images: Tensor, side: Tensor, generator: Generator) -> Tensor:
    """Darkens three blots as coffee, water or mould do, most at their rims; the image shows through.

    side: (B,) in pixels, of the square of the largest blot's area.
    """
    num = len(images)
    drawn = uniform(images, generator, len(STAINS) + 1, 8).view(num, len(STAINS) + 1, 8, 1, 1)
    result = images
    depth, hue = drawn[:, -1, :2].unbind(dim=1)
    # Brown to grey: how much of red, green and blue the densest part absorbs.
    absorbed = (0.35 + 0.3 * depth.unsqueeze(1)) * (1 - hue.unsqueeze(1) * images.new_tensor((0.75, 0.45, 0.0)).view(3, 1, 1))
    for index, size in enumerate(STAINS):
        top, left, *phases = drawn[:, index].unbind(dim=1)
        rows, columns = _offsets(images, top, left)
        angle = columns.atan2(rows)
        waves = sum((wave * angle + 2 * math.pi * phase).cos() / wave for wave, phase in enumerate(phases, start=2))
        radius = side.to(images.dtype).view(-1, 1, 1) * (size / math.sqrt(math.pi)) * (1 + 0.25 * waves)
        depth_in = 1 - (rows.square() + columns.square()).sqrt() / radius.clamp(min=1e-6)  # 1 at the centre, 0 at the edge
        density = (depth_in * 12).clamp(0, 1) * (0.55 + 0.45 * (-((depth_in - 0.08) / 0.06).square()).exp())
        result = result * (1 - absorbed * density.unsqueeze(1))
    return result.clamp(0, 1)


def fading(images: Tensor, amount: Tensor, generator: Generator) -> Tensor:
    """Fades pigments: less contrast, lifted shadows, less colour and a yellow cast, in uneven patches; amount: (B,) from 0 to 1."""
    patches, _ = smooth_noise(images, images.new_full((len(images),), min(images.shape[2:]) / 4), generator)
    amount = (amount.to(images.dtype).view(-1, 1, 1, 1) * (1 + 0.15 * patches)).clamp(0, 1)
    grey = images.mean(dim=1, keepdim=True)
    pale = 0.35 + 0.5 * torch.lerp(images, grey, 0.6)
    return torch.lerp(images, pale * images.new_tensor((1.05, 0.98, 0.82)).view(3, 1, 1), amount).clamp_(0, 1)


def _offsets(images: Tensor, top: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column offsets of the pixels from points at relative positions `top` and `left` (B, 1, 1), in their dtype."""
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device, dtype=top.dtype).view(1, -1, 1) + 0.5 - top * height
    columns = torch.arange(width, device=images.device, dtype=top.dtype).view(1, 1, -1) + 0.5 - left * width
    return rows, columns


def _turned(images: Tensor, top: Tensor, left: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of the pixels along and across lines through such points at an angle: (B, H, W) each, in pixels."""
    rows, columns = _offsets(images, top, left)
    return columns * angle.cos() + rows * angle.sin(), rows * angle.cos() - columns * angle.sin()
