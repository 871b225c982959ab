"""The prediction of a model for one picture."""

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from pellucid.pictures import Pixels


class EstimatedDamage(TypedDict):
    """The estimate of one kind of damage.

    probability: of its presence; strength: if present; unit: of the strength, as text.
    """

    probability: float
    strength: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The prediction for one picture; `None` for fields without a head.

    label: the most probable class; confidence: its probability; probabilities: by class, in the model's order; restored: (H, W, 3) RGB, of
    the type of the picture, grey if it is; damage: by kind of damage, in the model's order; mask: (H, W) bool, true for pixels estimated as
    destroyed; broken: the output is not finite, and all other fields are `None`; left: no damage was detected, and `restored` is the
    picture itself; abstained: the confidence is below `abstain_below`, so that the label is `None`; restored_label: the most probable class
    of the restored picture, with `second_look`; unfamiliar: the picture is unlike the training images, so that its class means little, see
    `models.evidence`; `None` if the model can't tell.
    """

    label: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    restored: Pixels | None
    damage: dict[str, EstimatedDamage] | None = None
    mask: NDArray[np.bool_] | None = None
    broken: bool = False
    left: bool = False
    abstained: bool = False
    restored_label: str | None = None
    unfamiliar: bool | None = None

    @property
    def likeliest(self) -> str | None:
        """The most probable class, whether the model abstains or not."""
        return None if self.probabilities is None else max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def alarm(self) -> bool | None:
        """Whether the restored picture is classified differently from the picture; `None` without `second_look`."""
        return None if self.restored_label is None else self.restored_label != self.likeliest


BROKEN = Prediction(None, None, None, None, broken=True)
