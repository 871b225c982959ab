"""What a model says of one picture."""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pellucid.pictures import Pixels


class EstimatedDamage(TypedDict):
    """What a model says of one kind of damage.

    probability: that the picture has it; strength: how much of it, if it has it; unit: that of the strength, in words.
    """

    probability: float
    strength: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of one picture; `None` for what it has no head for.

    label: the likeliest class; confidence: its probability; probabilities: by class, in the model's order; restored: (H, W, 3) RGB, of the
    type of the picture, grey if it is; damage: by kind of damage, in the model's order; mask: (H, W) bool, true where the pixels are
    thought to be destroyed; broken: the model's output is not finite, and all else is `None`.
    """

    label: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    restored: Pixels | None
    damage: dict[str, EstimatedDamage] | None = None
    mask: NDArray[np.bool_] | None = None
    broken: bool = False


BROKEN = Prediction(None, None, None, None, broken=True)
