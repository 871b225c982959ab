"""Occlusion: regions whose pixels are lost, and the content that replaces them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pellucid.degradations.fields import uniform
from pellucid.double import double
from pellucid.lazy import np, torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

FILL = 0.5
"""The value of a destroyed pixel on the [0, 1] scale: zero after the model has normalised to [-1, 1]."""


ELLIPSE, STROKE, BLOB = 1, 2, 3
"""Shapes of a lost region other than the box."""


def square_mask(images: Tensor, side: Tensor, generator: Generator) -> Tensor:
    """Places one square in each image, uniformly over the positions where it lies fully inside; returns (B, 1, H, W) bool.

    images: (B, 3, H, W), for their shape and device; side: (B,) in pixels, rounded to integers and clamped to the image's shorter side.
    """
    num, _, height, width = images.shape
    side = side.round().clamp(0, min(height, width)).view(-1, 1)
    # float32 whatever the images' dtype, so that the mask does not depend on it.
    positions = torch.rand((2, num, 1), generator=generator, device=images.device, dtype=torch.float32)

    def covered(length: int, position: Tensor) -> Tensor:
        """Which rows, or columns, the square covers: (B, length)."""
        last = length - side
        start = torch.minimum((position * (last + 1)).floor(), last)  # the product may round up to last + 1
        at = torch.arange(length, device=images.device)
        return (at >= start) & (at < start + side)

    rows, columns = covered(height, positions[0]).view(num, 1, height, 1), covered(width, positions[1]).view(num, 1, 1, width)
    return (rows.byte() & columns.byte()).view(torch.bool)  # a tenth of the time of bool's


def paste(images: Tensor, mask: Tensor, content: Tensor | float) -> Tensor:
    """Images (B, 3, H, W) with `content`, a value or images that broadcast to them, where `mask` (B, 1, H, W) is true, or 1."""
    if images.device.type == "cpu":
        result = images.clone(memory_format=torch.contiguous_format)
        np.copyto(result.numpy(), content.numpy() if isinstance(content, torch.Tensor) else content, where=mask.numpy())
        return result
    # Products with 0 and 1 are exact and take a tenth of the time of `where` or `masked_fill`.
    inside = mask.to(images.dtype)
    return torch.addcmul(inside * content, images, 1 - inside)


def region_mask(images: Tensor, side: Tensor, generator: Generator) -> Tensor:
    """Places one region of random shape at a random position in each image, where the border may cut it; returns (B, 1, H, W) bool.

    images: (B, 3, H, W), for their shape and device; side: (B,) in pixels, of the square of equal area. With equal probability:
    boxes, upright or rotated, of aspect ratio up to 2.5; ellipses, likewise; strokes, 6 to 12 times as long as wide; and blobs.
    """
    num, _, height, width = images.shape
    # Drawn in float32, as for the square; computed in float64, so that rounding on another processor does not change the mask.
    drawn = double(torch.rand((8, num, 1, 1), generator=generator, device=images.device, dtype=torch.float32))
    shape = (4 * drawn[0]).floor()
    turn = 2 * math.pi * drawn[3] * (drawn[4] < 0.5)
    rows = torch.arange(height, device=images.device).view(1, -1, 1) - drawn[1] * height + 0.5
    columns = torch.arange(width, device=images.device).view(1, 1, -1) - drawn[2] * width + 0.5
    along, across = columns * turn.cos() + rows * turn.sin(), rows * turn.cos() - columns * turn.sin()

    aspect = torch.where(shape == STROKE, 6 + 6 * drawn[5], 2.5 ** (2 * drawn[5] - 1)).sqrt()
    half = double(side).view(-1, 1, 1) / 2
    box = torch.maximum(along.abs() / aspect, across.abs() * aspect)
    ellipse = (along.square() / aspect.square() + across.square() * aspect.square()).sqrt() * (math.sqrt(math.pi) / 2)
    angle = torch.atan2(rows, columns)
    waves = 1 + 0.3 * (2 * angle + 2 * math.pi * drawn[6]).cos() + 0.2 * (3 * angle + 2 * math.pi * drawn[7]).cos()
    blob = (rows.square() + columns.square()).sqrt() * (math.sqrt(1.065 * math.pi) / 2) / waves  # 1.065: area factor of the waves
    distance = torch.where(shape == ELLIPSE, ellipse, torch.where(shape == BLOB, blob, box))
    return (distance < half).unsqueeze(1)


def random_content(images: Tensor, generator: Generator) -> Tensor:
    """The content of lost regions, (B, 3, H, W): one of `CONTENTS` for each image, with equal probability."""
    options = [fill(images, generator).expand_as(images) for fill in CONTENTS.values()]
    choice = torch.randint(len(CONTENTS), (len(images),), generator=generator, device=images.device)
    result = torch.empty_like(images)
    for index, option in enumerate(options):
        chosen = (choice == index).nonzero().squeeze(1)
        result[chosen] = option[chosen]
    return result


def black(images: Tensor, _generator: Generator) -> Tensor:
    """Zeros."""
    return images.new_zeros(1, 1, 1, 1)


def white(images: Tensor, _generator: Generator) -> Tensor:
    """Ones."""
    return images.new_ones(1, 1, 1, 1)


def grey(images: Tensor, _generator: Generator) -> Tensor:
    """`FILL`."""
    return images.new_full((1, 1, 1, 1), FILL)


def colour(images: Tensor, generator: Generator) -> Tensor:
    """One colour for each image, uniform in the RGB cube."""
    return uniform(images, generator, 3, 1, 1)


def noise(images: Tensor, generator: Generator) -> Tensor:
    """A value for each pixel and channel, uniform from 0 to 1."""
    return uniform(images, generator, *images.shape[1:])


def other_picture(images: Tensor, _generator: Generator) -> Tensor:
    """The previous image in the batch, rotated by 180 degrees; in a batch of one, the image itself, rotated."""
    return images.roll(1, 0).flip((2, 3))


CONTENTS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "black": black,
    "white": white,
    "grey": grey,
    "colour": colour,
    "noise": noise,
    "picture": other_picture,
}
"""Contents of a lost region by name: functions whose results broadcast to (B, 3, H, W)."""
