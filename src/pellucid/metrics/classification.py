"""Per-image classification metrics."""

import torch
from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.labels import UNLABELLED


def predicted(output: Output, _batch: Batch) -> Tensor | None:
    """The index of the most probable class, for unlabelled images too, NaN where logits are NaN: (B,) float32; `None` without logits."""
    if output.logits is None:
        return None
    return output.logits.argmax(dim=1).float().masked_fill(output.logits.isnan().any(dim=1), torch.nan)


def correct(output: Output, batch: Batch) -> Tensor | None:
    """1 where the most probable class is the label, 0 where not or where logits are NaN, NaN for unlabelled images: (B,) float32;
    `None` without logits."""
    if output.logits is None:
        return None
    right = (output.logits.argmax(dim=1) == batch.labels) & ~output.logits.isnan().any(dim=1)
    return right.float().masked_fill(batch.labels == UNLABELLED, torch.nan)


def confidence(output: Output, _batch: Batch) -> Tensor | None:
    """The probability of the most probable class, for unlabelled images too: (B,) float32; `None` without logits."""
    return None if output.logits is None else output.logits.float().softmax(dim=1).amax(dim=1)
