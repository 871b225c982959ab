"""Picture: decoded pixels, and the properties of their file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16: whole numbers from 0 (black) to the largest of their type (white)."""

DEPTHS = (8, 10, 12, 14)
"""Bit depths of sensors, whose values are often stored unscaled in 16 bits."""

MIN_SPAN = 1 / 8
"""Grey values that span less than this fraction of their range are stretched to the whole of it: CT values are stored as 32,768 + HU."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An upright picture.

    pixels: (H, W, 3) uint8 or uint16, RGB, over the whole range of that type; fully transparent pixels are white.
    grey: the file has one colour channel, or a grey palette; the three channels of `pixels` are equal.
    alpha: (H, W) of the type of `pixels`, 0 where the picture is transparent.
    window: the stored values of black and white, if they are not the limits of the type.
    profile: ICC colour profile; `pixels` are in it, not converted.
    dpi: dots per inch across and down.
    notes: short notes on properties of the file that were changed or dropped.
    """

    pixels: Pixels
    grey: bool = False
    alpha: Pixels | None = None
    window: tuple[int, int] | None = None
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def on_white(self) -> NDArray[np.uint8]:
        """The pixels composited on white: (H, W, 3) uint8."""
        pixels = eight_bits(self.pixels)
        if self.alpha is None:
            return pixels
        alpha = eight_bits(self.alpha)[:, :, None].astype(np.uint16)
        mixed: NDArray[np.uint8] = ((pixels * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return mixed


def eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    """16 bits -> 8 bits by the high byte: black stays black, white stays white, and all steps are equally wide."""
    return np.asarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, np.uint8)


def find_window(values: Pixels, grey: bool) -> tuple[int, int] | None:
    """The values of black and white of a picture stored in 16 bits; `None` for the whole range.

    Where no value needs more bits than a sensor of 8, 10, 12 or 14 has, white is the largest value of that many bits. Grey values that
    span less than an eighth of that range are stretched from the smallest to the largest.
    """
    low, high = int(values.min()), int(values.max())
    white = next((2**bits - 1 for bits in DEPTHS if high < 2**bits), 65535)
    if grey and 0 < high - low < white * MIN_SPAN:
        return low, high
    return None if white == 65535 else (0, white)


def stretch(values: Pixels, window: tuple[int, int] | None) -> Pixels:
    """Stored values -> pixels over the whole range, clipped to the window."""
    if window is None:
        return values
    low, high = window
    return _look_up(values, (np.arange(65536.0) - low) * (65535 / (high - low)), 0, 65535)


def unstretch(pixels: Pixels, window: tuple[int, int] | None) -> Pixels:
    """The inverse of `stretch` within the window."""
    if window is None:
        return pixels
    low, high = window
    return _look_up(pixels, np.arange(65536.0) * ((high - low) / 65535) + low, low, high)


def _look_up(values: Pixels, table: NDArray[Any], low: int, high: int) -> Pixels:
    """Map values by a lookup table: floats of a whole picture would take four times its memory."""
    looked_up: NDArray[np.uint16] = table.round().clip(low, high).astype(np.uint16)[values]
    return looked_up
