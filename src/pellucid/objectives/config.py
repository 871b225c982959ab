"""The settings of the objective, readable without loading torch."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UserError
from pellucid.settings import Settings, setting

RestorationLoss = Literal["l1", "l2", "charbonnier", "psnr"]

BALANCES = ("fixed", "uncertainty", "dwa", "gradnorm")
"""Balancing methods that need no further package."""

TORCHJD = "torchjd:"
"""Prefix of the name of a TorchJD aggregator."""


@dataclass(frozen=True)
class ObjectiveConfig(Settings):
    """Equation (1) of the paper: L = CE + weight * L_restoration.

    Args:
        weight: lambda of equation (1); 0.1 in the paper's listing.
        restoration: loss of the restored image; `l1` is the paper's.
        max_psnr: dB toward which the loss `psnr` saturates; 80 is next to no limit. Where some images are undamaged, about 40: otherwise
            these outweigh all others.
        label_smoothing: probability mass spread over all classes in the cross-entropy.
        balance: how the task losses are weighted: by the `fixed` weight; by learned `uncertainty`, initialised with it; by the tasks' rates
            of descent, `dwa`, times the weight; so that the ratio of their gradient norms equals the weight, `gradnorm`; or by one of
            TorchJD's aggregators, such as `torchjd:PCGrad`, from the gradients of CE and of weight * L_restoration. All but `fixed`
            require a single device; no effect on single-task arms.
        damage_weight: weight of the loss of the damage head, if there is one; not changed by `balance`.
        distillation: weight of the KL divergence from the class probabilities of the averaged network, ramped up linearly from 0 over the
            training; not changed by `balance`.
        teacher_sees: input images of the averaged network for distillation; `degraded` is the control.
    """

    weight: float = setting(0.1, least=0)
    restoration: RestorationLoss = "l1"
    max_psnr: float = setting(80.0, above=0)
    label_smoothing: float = setting(0.0, least=0, below=1)
    balance: str = "fixed"
    damage_weight: float = setting(0.1, least=0)
    distillation: float = setting(0.0, least=0)
    teacher_sees: Literal["clean", "degraded"] = "clean"

    def __post_init__(self) -> None:
        super().__post_init__()
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
