"""The settings of the objective, readable without loading torch."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UserError

RestorationLoss = Literal["l1", "l2", "charbonnier", "psnr"]


@dataclass(frozen=True)
class ObjectiveConfig:
    """Equation (1) of the paper: L = CE + weight * L_restoration.

    Args:
        weight: lambda of equation (1); the paper's listing has 0.1.
        restoration: what is asked of the restored image; `l1` is the paper's.
        label_smoothing: probability mass spread over all classes in the cross-entropy.
        damage_weight: weight of the loss of the damage head, where there is one.
        distillation: weight of the divergence from the class probabilities of the averaged network, which rises from 0 over the training.
        teacher_sees: the images that the averaged network is shown for that; `degraded` is the control.
    """

    weight: float = 0.1
    restoration: RestorationLoss = "l1"
    label_smoothing: float = 0.0
    damage_weight: float = 0.1
    distillation: float = 0.0
    teacher_sees: Literal["clean", "degraded"] = "clean"

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise UserError(f"Expected a weight (lambda) of at least 0, found {self.weight}.")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"Expected label_smoothing in [0, 1), found {self.label_smoothing}.")
