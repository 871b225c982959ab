"""The objective that both tasks are trained on together."""

from dataclasses import dataclass

import torch
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
    damage: Tensor | None = None


def joint_loss(output: Output, batch: Batch, config: ObjectiveConfig, teacher: Tensor | None = None, progress: float = 1.0) -> Losses:
    """Equation (1) of the paper, in float32; images without a label count in the restoration alone."""
    classification = restored = None
    terms = []
    if output.logits is not None:
        classification = cross_entropy(output.logits.float(), batch.labels, config.label_smoothing)
        terms.append(classification)
    if output.restored is not None:
        restored = RESTORATION_LOSSES[config.restoration](output.restored.float(), batch.clean).mean()
        terms.append(config.weight * restored)
    damage = damage_loss(output, batch)
    if damage is not None:
        terms.append(config.damage_weight * damage)
    if teacher is not None and output.logits is not None:
        divergence = F.kl_div(output.logits.float().log_softmax(1), teacher.float().softmax(1), reduction="batchmean")
        terms.append(config.distillation * progress * divergence)
    return Losses(sum(terms[1:], start=terms[0]), classification, restored, damage)


def damage_loss(output: Output, batch: Batch) -> Tensor | None:
    """Cross-entropy of presence and of the hole, plus the error in the logarithm of the strengths that are there."""
    if output.presence is None or output.strength is None or output.hole is None:
        return None
    loss = F.binary_cross_entropy_with_logits(output.hole.float(), batch.damage.hole.float())
    if batch.damage.strengths:
        true = torch.stack(list(batch.damage.strengths.values()), 1)
        there = ~true.isnan()
        loss = loss + F.binary_cross_entropy_with_logits(output.presence.float(), there.float())
        error = (output.strength.float().log() - true.nan_to_num(1).clamp(min=1e-3).log()).abs()
        loss = loss + (error * there).sum() / there.sum().clamp(min=1)
    return loss


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the labelled images, 0 if there is none: (B, C), (B,) -> scalar."""
    total = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, label_smoothing=label_smoothing, reduction="sum")
    return total / (labels != UNLABELLED).sum().clamp(min=1)
