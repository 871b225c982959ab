"""Restores pictures of any size in bounded memory: in overlapping tiles, blended, with the result of one forward over the whole picture.

A pixel of the output depends on the input within the network's reach, its receptive field. Tiles overlap by twice the reach, and what lies
within the reach of a cut is left out, so that what remains is what the untiled network gives; over a band beside it two tiles are blended,
for networks whose reach has no end, such as transformers or decoders that are modulated by the whole image.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.batch import Output, from_pixels
from pellucid.pictures import Pixels

FIRST_SIDE, LAST_SIDE = 128, 1024
"""Sides of the pictures on which the reach is measured; the second bounds the reach to half of it."""

UNBOUNDED = 64
"""Pixels left out at a cut where the output depends on the whole tile: what is far away matters little by then."""

BAND = 16
"""Least width in pixels of the band over which two tiles are blended."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How pictures are cut.

    side: height and width of a tile; reach: pixels left out at a cut; multiple: tiles begin at multiples of it, so that the coarser maps
    of the network lie as in the whole picture.
    """

    side: int
    reach: int
    multiple: int

    def spans(self, length: int) -> list["Span"]:
        """The tiles along one side of a picture."""
        if length <= self.side:
            return [Span(0, length, torch.ones(length))]
        band = max(self.multiple, BAND)
        step = (self.side - 2 * self.reach - band) // self.multiple * self.multiple
        starts = [*range(0, length - self.side, step), math.ceil((length - self.side) / self.multiple) * self.multiple]
        bounds = [(start, min(start + self.side, length)) for start in starts]
        weights = [self._weights(start, stop, length, band) for start, stop in bounds]
        total = torch.zeros(length)
        for (start, stop), weight in zip(bounds, weights, strict=True):
            total[start:stop] += weight
        return [Span(start, stop, weight / total[start:stop]) for (start, stop), weight in zip(bounds, weights, strict=True)]

    def _weights(self, start: int, stop: int, length: int, band: int) -> Tensor:
        """Nought within the reach of a cut, then a ramp, then one."""
        places = torch.arange(start, stop) + 0.5
        weights = torch.ones(stop - start)
        if start > 0:
            weights = weights.minimum(((places - start - self.reach) / band).clamp(0, 1))
        if stop < length:
            weights = weights.minimum(((stop - places - self.reach) / band).clamp(0, 1))
        return weights


@dataclass(frozen=True, slots=True)
class Span:
    """Places `start` to `stop` along one side, and how much the tile counts at each; the weights of all tiles sum to one."""

    start: int
    stop: int
    weights: Tensor


def build_tiling(network: nn.Module, max_pixels: int) -> Tiling:
    """Tiles of at most `max_pixels`, or of four times the reach, if that is more."""
    multiple = math.lcm(*(getattr(module, "size_multiple", 1) for module in network.modules()))
    measured = measure_reach(network, multiple)
    reach = math.ceil((UNBOUNDED if measured is None else measured) / multiple) * multiple
    least = 4 * reach + 4 * max(multiple, BAND)
    return Tiling(max(math.isqrt(max_pixels) // multiple * multiple, math.ceil(least / multiple) * multiple), reach, multiple)


@torch.inference_mode()
def measure_reach(network: nn.Module, multiple: int = 1) -> int | None:
    """How many pixels away from a pixel of the output an input can matter; `None` for as far as it was looked.

    Not-a-number spreads from one block of the input to every output that it has a part in, whatever the weights.
    """
    device = next(network.parameters()).device
    side = FIRST_SIDE
    while side <= LAST_SIDE:
        middle = side // 2 // multiple * multiple
        images = torch.full((1, 3, side, side), 0.5, device=device)
        images[..., middle : middle + multiple, middle : middle + multiple] = torch.nan
        output: Output = network(images)
        maps = [each for each in (output.restored, output.mask) if each is not None]
        touched = torch.stack([each.isnan().any(1).flatten(0, 1) for each in maps]).any(0) if maps else torch.zeros(1, 1, device=device)
        rows, columns = (touched.any(axis).nonzero().flatten() for axis in (1, 0))
        if not len(rows):
            return 0
        first, last = min(int(rows[0]), int(columns[0])), max(int(rows[-1]), int(columns[-1]))
        if first > 0 and last < side - 1:
            return max(middle - first, last - (middle + multiple - 1))
        side *= 2
    return None


def forward_in_tiles(pixels: Pixels, forward: Callable[[Tensor], Output], tiling: Tiling) -> Iterator[Output]:
    """Pictures of one size (B, H, W, 3) -> restored images and masks in strips of rows, from top to bottom, on the CPU.

    The strips are what `forward` gives for the whole pictures, without its other outputs. Memory: the maps of one tile, and rows of the
    height of a tile.
    """
    height, width = pixels.shape[1:3]
    rows, columns = tiling.spans(height), tiling.spans(width)
    strip: Tensor | None = None
    for row, following in zip(rows, [*(row.start for row in rows[1:]), height], strict=True):
        parts: tuple[bool, bool] = (False, False)
        for column in columns:
            output = forward(from_pixels(pixels[:, row.start : row.stop, column.start : column.stop]))
            parts = output.restored is not None, output.mask is not None
            maps = torch.cat([each for each in (output.restored, output.mask) if each is not None], 1).cpu()
            if strip is None:
                strip = maps.new_zeros(*maps.shape[:2], 0, width)
            if missing := row.stop - row.start - strip.shape[2]:
                strip = torch.cat([strip, strip.new_zeros(*strip.shape[:2], missing, width)], 2)
            strip[..., column.start : column.stop].add_(maps.mul_(row.weights[:, None] * column.weights))
        assert strip is not None
        done, strip = strip[:, :, : following - row.start], strip[:, :, following - row.start :].clone()
        yield Output(restored=done[:, :3] if parts[0] else None, mask=done[:, -1:] if parts[1] else None)
