"""Per-image metrics of the damage head: kind, strength and location.

The damage of the batch must have exactly the kinds of the model's output, in the same order; see `restrict_damage`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.batch import Batch, Damage, Output


def restrict_damage(damage: Damage, kinds: Sequence[str]) -> Damage:
    """The damage restricted to `kinds`, those that a model distinguishes: other kinds are dropped, missing ones are recorded as absent."""
    absent = torch.full((len(damage.mask),), torch.nan, device=damage.mask.device)
    return Damage({kind: damage.strengths.get(kind, absent) for kind in kinds}, damage.mask)


def damage_correct(output: Output, batch: Batch) -> Tensor | None:
    """1 where the presence of every kind is predicted correctly, 0 elsewhere: (B,) float32; `None` without kinds."""
    if output.presence is None or not batch.damage.strengths:
        return None
    right = (output.presence > 0) == ~_true_strengths(batch).isnan()
    return right.all(dim=1).float()


def strength_error(output: Output, batch: Batch) -> Tensor | None:
    """|estimate - true| / true, averaged over the kinds that are present; NaN where there are none: (B,) float32; `None` without kinds.

    Kinds that are present count even if the model predicts their absence; kinds with a true strength of 0 do not.
    """
    if output.strength is None or not batch.damage.strengths:
        return None
    true = _true_strengths(batch)
    return ((output.strength.float() - true).abs() / true.masked_fill(true == 0, torch.nan)).nanmean(dim=1)


def mask_iou(output: Output, batch: Batch) -> Tensor | None:
    """Intersection over union of predicted and true destroyed pixels; NaN where the union is empty: (B,) float32; `None` without a mask."""
    if output.mask is None:
        return None
    predicted, true = output.mask > 0, batch.damage.mask
    return (predicted & true).sum(dim=(1, 2, 3)) / (predicted | true).sum(dim=(1, 2, 3))


def _true_strengths(batch: Batch) -> Tensor:
    """(B, K), NaN where a kind is absent."""
    return torch.stack(list(batch.damage.strengths.values()), dim=1).float()
