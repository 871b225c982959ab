"""Does the model know what was done to the image: kind, strength and place, one number each for each image.

The record of a batch that these functions are given names the kinds of the model's output and no others, in its order; `known` makes one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.batch import Batch, Damage, Output


def known(damage: Damage, kinds: Sequence[str]) -> Damage:
    """The record as far as a model that tells `kinds` apart can know it: others don't count, and those that it lacks are absent."""
    absent = torch.full((len(damage.hole),), torch.nan, device=damage.hole.device)
    return Damage({kind: damage.strengths.get(kind, absent) for kind in kinds}, damage.hole)


def damage_correct(output: Output, batch: Batch) -> Tensor | None:
    """1 where every kind is rightly said to be there or not, 0 elsewhere: (B,) float32; `None` without kinds."""
    if output.presence is None or not batch.damage.strengths:
        return None
    right = (output.presence > 0) == ~_true_strengths(batch).isnan()
    return right.all(dim=1).float()


def strength_error(output: Output, batch: Batch) -> Tensor | None:
    """|estimate - true| / true, the mean over the kinds that are there; NaN where none is: (B,) float32; `None` without kinds.

    A kind that is there is asked for its strength even where the model denies it. A strength of 0 has no relative error and counts as none.
    """
    if output.strength is None or not batch.damage.strengths:
        return None
    true = _true_strengths(batch)
    return ((output.strength.float() - true).abs() / true.masked_fill(true == 0, torch.nan)).nanmean(dim=1)


def hole_iou(output: Output, batch: Batch) -> Tensor | None:
    """Pixels that are destroyed and said to be, over those that are either; NaN where none is: (B,) float32; `None` without a mask."""
    if output.hole is None:
        return None
    said, true = output.hole > 0, batch.damage.hole
    return (said & true).sum(dim=(1, 2, 3)) / (said | true).sum(dim=(1, 2, 3))


def _true_strengths(batch: Batch) -> Tensor:
    """(B, K), NaN where a kind is absent."""
    return torch.stack(list(batch.damage.strengths.values()), dim=1).float()
