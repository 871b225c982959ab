"""The interface of a degradation, and its entry in the table `DEGRADATIONS`.

The function takes images (B, 3, H, W), float32 or float64 in [0, 1], a strength for each of them (B,) in the degradation's unit, and a
generator on the images' device, and returns new images of the same shape, dtype and device, in [0, 1]. It accepts any batch size, 0
included, and any image size from 1x1 up; it does not modify its input, and all its randomness comes from the generator.

Their modules import torch by `pellucid.lazy`, so that recipes and the command line can name degradations without loading it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pellucid.degradations.occlusion import paste

if TYPE_CHECKING:
    from torch import Generator, Tensor

    DegradationFunction = Callable[[Tensor, Tensor, Generator], Tensor]
    FillFunction = Callable[[Tensor, Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One row of the table.

    function: see above; unit: of the strength, as text; valid_range: the smallest and the largest valid strength; typical_range: a mild
    and a severe strength in that order, for grids, sliders and tests; source: the paper, table or program that the strengths are taken
    from; mask: for a degradation that destroys pixels, a function with the same arguments that returns their mask, (B, 1, H, W) bool; a
    `Pipeline` calls it instead of `function`, so that the mask is recorded; fill: a function of images and a generator that returns the
    new values of those pixels, broadcast to (B, 3, H, W); default `FILL`; kind: the name under which the damage is recorded, if it is that
    of another row. Rows with a mask are made by `destruction`.
    """

    function: DegradationFunction
    unit: str
    valid_range: tuple[float, float]
    typical_range: tuple[float, float]
    source: str
    mask: DegradationFunction | None = None
    fill: FillFunction | None = None
    kind: str | None = None

    @property
    def is_length(self) -> bool:
        """Whether strengths are lengths, which may be relative to the image's side."""
        return self.unit.endswith("in pixels")


def destruction(
    mask: DegradationFunction,
    fill: FillFunction,
    unit: str,
    valid_range: tuple[float, float],
    typical_range: tuple[float, float],
    source: str,
    kind: str | None = None,
) -> Degradation:
    """The row of a degradation that destroys the pixels of a mask and fills them; arguments as for `Degradation`."""

    def function(images: Tensor, strength: Tensor, generator: Generator) -> Tensor:
        return paste(images, mask(images, strength, generator), fill(images, generator))

    return Degradation(function, unit, valid_range, typical_range, source, mask, fill, kind)
