"""Glass blur: neighbouring pixels are swapped at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.degradations.blur import gaussian_blur
from pellucid.degradations.fields import uniform

if TYPE_CHECKING:
    from torch import Generator, Tensor

MAX_ROUNDS = 3
"""Maximum number of rounds; random numbers are always drawn for all of them."""


def glass_blur(images: Tensor, sigma: Tensor, reach: Tensor, rounds: Tensor, generator: Generator) -> Tensor:
    """Blurs, lets every pixel take the value of a random neighbour, and blurs again (Hendrycks and Dietterich 2019).

    sigma: (B,) of the blur, in pixels; reach: (B,) in pixels, neighbours lie from `-reach` to `reach - 1` rows and columns away; rounds:
    (B,) how often, at most 3; both are rounded. As in the published program, pixels are processed one after the other, from the last to the
    first, a value may move several times, and the pixels within `reach` of the border keep theirs.
    """
    import torch

    num, channels, height, width = images.shape
    result = gaussian_blur(images, sigma, generator)
    reach, rounds = (value.double().round().view(-1, 1, 1) for value in (reach, rounds))
    row, column = torch.arange(height, device=images.device).view(-1, 1), torch.arange(width, device=images.device)
    inside = (row > reach) & (row <= height - reach) & (column > reach) & (column <= width - reach)
    for index in range(MAX_ROUNDS):
        drawn = uniform(images, generator, 2, height, width)
        moved = inside & (rounds > index)
        if not moved.any():
            continue
        shifts = (drawn.transpose(0, 1).double() * 2 * reach).floor() - reach
        source = ((row + shifts[0]) * width + column + shifts[1]).long()
        here = (row * width + column).expand_as(source)
        source = _followed(torch.where(moved, source, here).view(num, -1), here.reshape(num, -1))
        result = result.reshape(num, channels, -1).gather(2, source.unsqueeze(1).expand(-1, channels, -1)).view(images.shape)
    return gaussian_blur(result, sigma, generator)


def _followed(source: Tensor, here: Tensor) -> Tensor:
    """The final source of each pixel, (B, H * W) indices, if pixels take the values of their sources in turn, from the last to the first.

    A source after the pixel has changed before; such chains are followed by pointer doubling.
    """
    import torch

    later = source > here
    while later.any():
        source, later = torch.where(later, source.gather(1, source), source), later & later.gather(1, source)
    return source
