"""What a degradation is: the contract of its function, and its row in the table `DEGRADATIONS`.

The function takes images (B, 3, H, W), float32 or float64 in [0, 1], a strength for each of them (B,) in the degradation's unit, and a
generator on the images' device, and returns new images of the same shape, dtype and device, in [0, 1]. It works on any batch, an empty
one included, and on any size from 1x1 up; its input is left as it was, and all that is random in it comes from the generator.

The functions import torch when they are called, not before: recipes and the command line name degradations, and must start at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

    DegradationFunction = Callable[[Tensor, Tensor, Generator], Tensor]
    FillFunction = Callable[[Tensor, Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One row of the table.

    function: see above; unit: of the strength, in words; valid_range: the least and the greatest strength that means anything;
    typical_range: a mild and a severe strength in that order, for grids, sliders and tests; source: the paper, table or program that the
    strengths are known from; hole: for a degradation that destroys pixels, the function with the same arguments that says which, (B, 1, H,
    W) bool; a `Pipeline` calls it in the place of `function`, so that the mask is recorded; fill: what those pixels then show, from images
    and a generator, (B, 3, H, W); `FILL` without it; kind: the row under whose name the damage is recorded, where that is another one.
    """

    function: DegradationFunction
    unit: str
    valid_range: tuple[float, float]
    typical_range: tuple[float, float]
    source: str
    hole: DegradationFunction | None = None
    fill: FillFunction | None = None
    kind: str | None = None
