"""Restores pictures of any size in bounded memory: in overlapping, blended tiles, with the same result as one forward pass.

A pixel of the output depends on the input within the network's reach, the radius of its receptive field. Tiles overlap by twice the reach,
and pixels within the reach of a cut are discarded, so that the rest is identical to the untiled output. In a band beside it, two tiles are
blended, for networks with unbounded reach, such as transformers or decoders that are modulated by the whole image.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.inference.backend import Outputs
from pellucid.inference.pixels import STRIP_ROWS, Floats, to_floats
from pellucid.pictures import Pixels

UNBOUNDED = 64
"""Pixels discarded at a cut if the reach is unbounded: the influence of more distant pixels is small."""

BAND = 16
"""Minimum width in pixels of the band in which two tiles are blended."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """A division of pictures into tiles.

    side: height and width of a tile; reach: pixels discarded at a cut; multiple: tiles start at multiples of it, so that the coarser maps
    of the network are aligned as in the whole picture.
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
        """0 within the reach of a cut, then a ramp, then 1."""
        positions = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
        weights = np.ones(stop - start, np.float32)
        if start > 0:
            weights = np.minimum(weights, ((positions - start - self.reach) / band).clip(0, 1))
        if stop < length:
            weights = np.minimum(weights, ((stop - positions - self.reach) / band).clip(0, 1))
        return weights


@dataclass(frozen=True, slots=True)
class Span:
    """Pixels `start` to `stop` along one side, and the weight of the tile at each; the weights of all tiles sum to 1."""

    start: int
    stop: int
    weights: Floats


def build_tiling(reach: int | None, multiple: int, max_pixels: int) -> Tiling:
    """Tiles of at most `max_pixels`, but at least four times the reach; reach: `None` if unbounded."""
    reach = math.ceil((UNBOUNDED if reach is None else reach) / multiple) * multiple
    least = 4 * reach + 4 * max(multiple, BAND)
    return Tiling(max(math.isqrt(max_pixels) // multiple * multiple, math.ceil(least / multiple) * multiple), reach, multiple)


def forward_in_tiles(pixels: Pixels, forward: Callable[[Floats], Outputs], tiling: Tiling) -> Iterator[Outputs]:
    """Pictures of one size (B, H, W, 3) -> restored images and masks in strips of at most `STRIP_ROWS` rows, from top to bottom.

    The strips equal the output of `forward` for the whole pictures; other outputs are omitted. Memory: the maps of one tile, and rows of
    the height of a tile in float32.
    """
    height, width = pixels.shape[1:3]
    rows, columns = tiling.spans(height), tiling.spans(width)
    sums: Floats | None = None  # of the tiles that cover these rows, times their weights
    for row, following in zip(rows, [*(row.start for row in rows[1:]), height], strict=True):
        names: list[str] = []
        for column in columns:
            output = forward(to_floats(pixels[:, row.start : row.stop, column.start : column.stop]))
            maps = {name: each for name in ("restored", "mask") if (each := getattr(output, name)) is not None}
            names = list(maps)
            if sums is None:
                num_channels = sum(each.shape[1] for each in maps.values())
                sums = np.zeros((len(pixels), num_channels, row.stop - row.start, width), np.float32)
            tile = sums[:, :, : row.stop - row.start, column.start : column.stop]
            weights, channel = row.weights[:, None] * column.weights, 0
            for each in maps.values():
                tile[:, channel : channel + each.shape[1]] += each * weights
                channel += each.shape[1]
        assert sums is not None
        done, kept = following - row.start, row.stop - following
        for top in range(0, done, STRIP_ROWS):
            strip = sums[:, :, top : min(top + STRIP_ROWS, done)].copy()
            parts = {"restored": strip[:, :3], "mask": strip[:, -1:]}
            yield Outputs(**{name: parts[name] for name in names})
        sums[:, :, :kept] = sums[:, :, done : done + kept]
        sums[:, :, kept:] = 0
