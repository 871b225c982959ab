"""Aggregates the gradients of the two tasks with an aggregator of TorchJD (Quinton & Rey 2024, "Jacobian Descent"), the extra `torchjd`.

Supported in torchjd 0.18.0: AlignedMTL, ConFIG, GradDrop, IMTLG, MGDA, Mean, PCGrad, Random, Sum. Rejected: aggregators that require
quadprog (GPL: UPGrad, DualProj) if it is not installed, those that require arguments (CAGrad, Constant, FairGrad, Krum, NashMTL,
TrimmedMean) and those with state across batches that cannot be saved (ExcessMTL, GradVac, PCD).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.errors import UserError
from pellucid.objectives.balancer import Balancer, TrainingStep
from pellucid.objectives.config import TORCHJD, ObjectiveConfig
from pellucid.objectives.shared import take_gradients


class Aggregation(Balancer):
    """Shared parameters receive the aggregate of the tasks' gradients, the others the gradient of their own task.

    Row 1 of the Jacobian (2, P) is the gradient of CE + distillation, row 2 that of lambda * L_restoration + damage: `Sum` is equation
    (1). Both are taken with respect to the parameters, not to features: with several dependent feature maps, the gradients of TorchJD's
    `mtl_backward` are wrong. If one row is zero, as without labels, the other is used as it is. Each step takes two backward passes.
    """

    def __init__(self, config: ObjectiveConfig, num_batches: int) -> None:
        super().__init__(config, num_batches)
        self.aggregator = load_aggregator(config.balance.removeprefix(TORCHJD))

    def descend(self, step: TrainingStep) -> None:
        """One backward pass for each task."""
        losses, shared = step.losses, step.shared
        if not shared:
            step.backward(losses.total)
            return
        classification, restoration = step.tasks[0], self.config.weight * step.tasks[1]
        if losses.distillation is not None:
            classification = classification + losses.distillation
        if losses.damage is not None:
            restoration = restoration + losses.damage
        step.backward(classification, retain_graph=True)
        rows = [_row(shared)]
        step.backward(restoration)
        jacobian = torch.stack([*rows, _row(shared)])
        both_nonzero = bool(jacobian.any(1).all())
        for parameter, part in zip(shared, _split(self.aggregator(jacobian) if both_nonzero else jacobian.sum(0), shared), strict=True):
            parameter.grad = part


def load_aggregator(name: str) -> Any:
    """An aggregator of TorchJD by name.

    Raises `UserError` if the package or a dependency of the aggregator is missing, or if the aggregator is unknown or not supported.
    """
    try:
        from torchjd import aggregation  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise UserError(
            f"Expected the package torchjd for balance '{TORCHJD}{name}', found none; install it by pip install \"pellucid[torchjd]\"."
        ) from None
    kind = getattr(aggregation, name, None) if name in aggregation.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, aggregation.Aggregator)):
        raise UserError(f"Expected the name of an aggregator of torchjd, found '{name}'; choose one such as PCGrad, MGDA or IMTLG.")
    try:
        aggregator = kind()
    except ImportError as error:
        raise UserError(f"Expected what {name} needs beside torchjd, found that {str(error).rstrip('.')}; or choose PCGrad.") from None
    except TypeError:
        raise UserError(f"Expected an aggregator without settings of its own, found {name}; choose one such as PCGrad.") from None
    if hasattr(aggregator, "reset"):
        raise UserError(
            f"Expected an aggregator that keeps nothing between batches, found {name}, with which no run could be resumed; choose one such "
            "as PCGrad."
        )
    return aggregator


def _row(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The concatenated `.grad`, (P,), which is then cleared."""
    return torch.cat([gradient.flatten() for gradient in take_gradients(parameters)])


def _split(row: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """(P,) -> one tensor for each parameter, in its shape and memory format."""
    parts = row.split_with_sizes([parameter.numel() for parameter in parameters])
    return [torch.empty_like(p).copy_(part.view(p.shape)) for p, part in zip(parameters, parts, strict=True)]
