"""Restores pictures of any size in bounded memory: in overlapping tiles, blended, with the result of one forward over the whole picture.

A pixel of the output depends on the input within the network's reach, its receptive field. Tiles overlap by twice the reach, and what lies
within the reach of a cut is left out, so that what remains is what the untiled network gives; over a band beside it two tiles are blended,
for networks whose reach has no end, such as transformers or decoders that are modulated by the whole image.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.inference.backend import Outputs
from pellucid.inference.pixels import Floats, from_pixels
from pellucid.pictures import Pixels

UNBOUNDED = 64
"""Pixels left out at a cut where the output depends on the whole tile: what is far away matters little by then."""

BAND = 16
"""Least width in pixels of the band over which two tiles are blended."""


ROWS = 128
"""Most rows of a strip, so that what is made of it takes little memory."""


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
            return [Span(0, length, np.ones(length, np.float32))]
        band = max(self.multiple, BAND)
        step = (self.side - 2 * self.reach - band) // self.multiple * self.multiple
        starts = [*range(0, length - self.side, step), math.ceil((length - self.side) / self.multiple) * self.multiple]
        bounds = [(start, min(start + self.side, length)) for start in starts]
        weights = [self._weights(start, stop, length, band) for start, stop in bounds]
        total = np.zeros(length, np.float32)
        for (start, stop), weight in zip(bounds, weights, strict=True):
            total[start:stop] += weight
        return [Span(start, stop, weight / total[start:stop]) for (start, stop), weight in zip(bounds, weights, strict=True)]

    def _weights(self, start: int, stop: int, length: int, band: int) -> Floats:
        """Nought within the reach of a cut, then a ramp, then one."""
        places = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
        weights = np.ones(stop - start, np.float32)
        if start > 0:
            weights = np.minimum(weights, ((places - start - self.reach) / band).clip(0, 1))
        if stop < length:
            weights = np.minimum(weights, ((stop - places - self.reach) / band).clip(0, 1))
        return weights


@dataclass(frozen=True, slots=True)
class Span:
    """Places `start` to `stop` along one side, and how much the tile counts at each; the weights of all tiles sum to one."""

    start: int
    stop: int
    weights: Floats


def build_tiling(reach: int | None, multiple: int, max_pixels: int) -> Tiling:
    """Tiles of at most `max_pixels`, or of four times the reach, if that is more; reach: `None` where the whole image counts."""
    reach = math.ceil((UNBOUNDED if reach is None else reach) / multiple) * multiple
    least = 4 * reach + 4 * max(multiple, BAND)
    return Tiling(max(math.isqrt(max_pixels) // multiple * multiple, math.ceil(least / multiple) * multiple), reach, multiple)


def forward_in_tiles(pixels: Pixels, forward: Callable[[Floats], Outputs], tiling: Tiling) -> Iterator[Outputs]:
    """Pictures of one size (B, H, W, 3) -> restored images and masks in strips of at most `ROWS` rows, from top to bottom.

    The strips are what `forward` gives for the whole pictures, without its other outputs. Memory: the maps of one tile, and rows of the
    height of a tile in float32.
    """
    height, width = pixels.shape[1:3]
    rows, columns = tiling.spans(height), tiling.spans(width)
    sums: Floats | None = None  # of the tiles that cover these rows, times their weights
    for row, following in zip(rows, [*(row.start for row in rows[1:]), height], strict=True):
        names: list[str] = []
        for column in columns:
            output = forward(from_pixels(pixels[:, row.start : row.stop, column.start : column.stop]))
            maps = {name: each for name in ("restored", "mask") if (each := getattr(output, name)) is not None}
            names = list(maps)
            if sums is None:
                num_channels = sum(each.shape[1] for each in maps.values())
                sums = np.zeros((len(pixels), num_channels, row.stop - row.start, width), np.float32)
            place = sums[:, :, : row.stop - row.start, column.start : column.stop]
            weights, channel = row.weights[:, None] * column.weights, 0
            for each in maps.values():
                place[:, channel : channel + each.shape[1]] += each * weights
                channel += each.shape[1]
        assert sums is not None
        done, kept = following - row.start, row.stop - following
        for top in range(0, done, ROWS):
            strip = sums[:, :, top : min(top + ROWS, done)].copy()
            parts = {"restored": strip[:, :3], "mask": strip[:, -1:]}
            yield Outputs(**{name: parts[name] for name in names})
        sums[:, :, :kept] = sums[:, :, done : done + kept]
        sums[:, :, kept:] = 0
