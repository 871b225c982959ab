"""The joint loss of a batch."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.labels import UNLABELLED
from pellucid.objectives.config import ObjectiveConfig
from pellucid.objectives.restoration import RESTORATION_LOSSES


@dataclass(frozen=True, slots=True)
class Losses:
    """The scalar losses of one batch; `None` for those that do not apply.

    classification, restoration: the task losses, unweighted; damage, distillation: auxiliary losses, times their own weights; weight:
    lambda of equation (1).
    """

    classification: Tensor | None
    restoration: Tensor | None
    damage: Tensor | None
    distillation: Tensor | None
    weight: float

    @property
    def total(self) -> Tensor:
        """Equation (1) plus the auxiliary losses."""
        return self.weighted(1.0, self.weight)

    def weighted(self, classification_weight: Tensor | float, restoration_weight: Tensor | float) -> Tensor:
        """The weighted sum of the task losses, plus the auxiliary losses."""
        terms = [] if self.classification is None else [classification_weight * self.classification]
        terms += [] if self.restoration is None else [restoration_weight * self.restoration]
        terms += [term for term in (self.damage, self.distillation) if term is not None]
        return sum(terms[1:], start=terms[0])

    def tasks(self) -> tuple[Tensor, Tensor] | None:
        """The losses of classification and restoration, unweighted, if both are trained."""
        one, other = self.classification, self.restoration
        return (one, other) if one is not None and other is not None and one.requires_grad and other.requires_grad else None


def joint_loss(
    output: Output,
    batch: Batch,
    config: ObjectiveConfig,
    teacher: Tensor | None = None,
    progress: float = 1.0,
    num_labelled: Tensor | None = None,
) -> Losses:
    """Equation (1) of the paper, in float32; unlabelled images contribute no cross-entropy.

    teacher: class logits (B, C) for distillation, whose weight is proportional to `progress`, the completed fraction of the training;
    num_labelled: of a shard, the mean number of labelled images in the shards of its batch, see `cross_entropy`.
    """
    classification = restored = distillation = None
    if output.logits is not None:
        classification = cross_entropy(output.logits.float(), batch.labels, config.label_smoothing, num_labelled)
        if teacher is not None:
            distillation = config.distillation * progress * distillation_loss(output.logits.float(), teacher.float())
    if output.restored is not None:
        limit = {"max_psnr": config.max_psnr} if config.restoration == "psnr" else {}
        restored = RESTORATION_LOSSES[config.restoration](output.restored.float(), batch.clean, **limit).mean()
    damage = damage_loss(output, batch)
    return Losses(classification, restored, None if damage is None else config.damage_weight * damage, distillation, config.weight)


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, num_labelled: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the labelled images, 0 if there are none: (B, C), (B,) -> scalar.

    num_labelled: the divisor of the sum, the number of labelled images by default.
    """
    total = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, label_smoothing=label_smoothing, reduction="sum")
    return total / (count_labelled(labels) if num_labelled is None else num_labelled)


def count_labelled(labels: Tensor) -> Tensor:
    """The number of labelled images, at least 1: (B,) -> scalar."""
    return (labels != UNLABELLED).sum().clamp(min=1)


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence from the teacher's class probabilities (Hinton et al. 2015): (B, C), (B, C) -> scalar."""
    return F.kl_div(logits.log_softmax(1), teacher.softmax(1), reduction="batchmean")


def damage_loss(output: Output, batch: Batch) -> Tensor | None:
    """The loss of the damage head, in float32; `None` without such a head.

    Binary cross-entropy of the mask (B, 1, H, W), plus that of the presence of each kind (B, K), plus the mean absolute error of the
    logarithm of the strengths (B, K) of the kinds that are present.
    """
    if output.presence is None or output.strength is None or output.mask is None:
        return None
    loss = F.binary_cross_entropy_with_logits(output.mask.float(), batch.damage.mask.float())
    if batch.damage.strengths:
        true = torch.stack(list(batch.damage.strengths.values()), 1)
        there = ~true.isnan()
        loss = loss + F.binary_cross_entropy_with_logits(output.presence.float(), there.float())
        error = (output.strength.float().log() - true.nan_to_num(1).clamp(min=1e-3).log()).abs()
        loss = loss + (error * there).sum() / there.sum().clamp(min=1)
    return loss
