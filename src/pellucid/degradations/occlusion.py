"""Occlusion: pixels that are lost altogether."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

FILL = 0.5
"""The value of a destroyed pixel on the [0, 1] scale: zero once the model has brought the image to [-1, 1]."""


def square_hole(images: Tensor, side: Tensor, generator: Generator) -> Tensor:
    """Places one square in each image, uniformly among the places where it lies fully inside; returns (B, 1, H, W) bool.

    images: (B, 3, H, W), for their shape and device; side: (B,) in pixels, rounded to whole ones and clamped to the image's shorter side.
    """
    import torch

    num, _, height, width = images.shape
    side = side.round().clamp(0, min(height, width)).view(-1, 1)
    # float32 whatever the images are: of two images that differ only in dtype, the same part is lost.
    places = torch.rand((2, num, 1), generator=generator, device=images.device, dtype=torch.float32)

    def covered(length: int, place: Tensor) -> Tensor:
        """Which rows, or columns, the square covers: (B, length)."""
        last = length - side
        start = torch.minimum((place * (last + 1)).floor(), last)  # the product may round up to last + 1
        at = torch.arange(length, device=images.device)
        return (at >= start) & (at < start + side)

    return covered(height, places[0]).view(num, 1, height, 1) & covered(width, places[1]).view(num, 1, 1, width)


def occlusion(images: Tensor, side: Tensor, generator: Generator) -> Tensor:
    """Sets one square of each image to `FILL`; arguments as for `square_hole`."""
    return images.masked_fill(square_hole(images, side, generator), FILL)
