"""The settings of the objective, readable without loading torch."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UserError
from pellucid.settings import Settings, setting

RestorationLoss = Literal["l1", "l2", "charbonnier", "psnr"]

BALANCES = ("fixed", "uncertainty", "dwa", "gradnorm")
"""Ways to balance the tasks that need no further package."""

TORCHJD = "torchjd:"
"""What comes before the name of one of TorchJD's aggregators."""


@dataclass(frozen=True)
class ObjectiveConfig(Settings):
    """Equation (1) of the paper: L = CE + weight * L_restoration.

    Args:
        weight: lambda of equation (1); the paper's listing has 0.1.
        restoration: what is asked of the restored image; `l1` is the paper's.
        label_smoothing: probability mass spread over all classes in the cross-entropy.
        balance: how the two tasks meet: at the `fixed` weight; by learned `uncertainty`, which starts from it; by the tasks' rates of
            descent, `dwa`, which it multiplies; so that the norms of their gradients have it as their ratio, `gradnorm`; or by one of
            TorchJD's aggregators, such as `torchjd:PCGrad`, from the gradients of CE and of weight * L_restoration. One device only,
            but for `fixed`; the arms with a single task have nothing to balance.
        damage_weight: weight of the loss of the damage head, where there is one; no balancer changes it.
        distillation: weight of the divergence from the class probabilities of the averaged network, which rises from 0 over the training;
            no balancer changes it.
        teacher_sees: the images that the averaged network is shown for that; `degraded` is the control.
    """

    weight: float = setting(0.1, least=0)
    restoration: RestorationLoss = "l1"
    label_smoothing: float = setting(0.0, least=0, below=1)
    balance: str = "fixed"
    damage_weight: float = setting(0.1, least=0)
    distillation: float = setting(0.0, least=0)
    teacher_sees: Literal["clean", "degraded"] = "clean"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_balance()

    def _check_balance(self) -> None:
        if self.balance not in BALANCES and self.balance.removeprefix(TORCHJD) in ("", self.balance):
            raise UserError(
                f"Expected a balance among {', '.join(BALANCES)} and {TORCHJD}NAME, found '{self.balance}'; choose one of these, such as "
                f"{TORCHJD}PCGrad."
            )
        if self.balance in ("uncertainty", "dwa") and self.restoration == "psnr":
            raise UserError(
                f"Expected a positive restoration loss with balance '{self.balance}', found 'psnr', a logarithm; choose l1, l2 or "
                "charbonnier, or the balance 'fixed'."
            )
        if self.balance == "uncertainty" and not self.weight:
            raise UserError("Expected a weight (lambda) above 0 with balance 'uncertainty', which starts from it, found 0.")
