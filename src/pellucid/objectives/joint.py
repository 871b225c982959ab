"""The objective that both tasks are trained on together."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.labels import UNLABELLED
from pellucid.objectives import restoration
from pellucid.objectives.config import ObjectiveConfig

RESTORATION_LOSSES = {
    "l1": restoration.l1,
    "l2": restoration.l2,
    "charbonnier": restoration.charbonnier,
    "psnr": restoration.psnr,
}


@dataclass(frozen=True, slots=True)
class Losses:
    """The scalars of one batch; the task that a single-task arm lacks is `None`."""

    total: Tensor
    classification: Tensor | None
    restoration: Tensor | None


def joint_loss(output: Output, batch: Batch, config: ObjectiveConfig) -> Losses:
    """Equation (1) of the paper, in float32; images without a label count in the restoration alone."""
    classification = restored = None
    terms = []
    if output.logits is not None:
        classification = cross_entropy(output.logits.float(), batch.labels, config.label_smoothing)
        terms.append(classification)
    if output.restored is not None:
        restored = RESTORATION_LOSSES[config.restoration](output.restored.float(), batch.clean).mean()
        terms.append(config.weight * restored)
    return Losses(sum(terms[1:], start=terms[0]), classification, restored)


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the labelled images, 0 if there is none: (B, C), (B,) -> scalar."""
    total = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, label_smoothing=label_smoothing, reduction="sum")
    return total / (labels != UNLABELLED).sum().clamp(min=1)
