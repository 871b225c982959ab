"""The contract between the stages: what a batch of images is, and what a model says of it.

Images are float tensors in [0, 1] of shape (B, 3, H, W), RGB, everywhere between decoding and encoding; a model normalises inside. The
stage packages (data, degradations, models, objectives, metrics) know nothing of one another: they meet here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pellucid.labels import UNLABELLED as UNLABELLED


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to each image of a batch.

    strengths: for every degradation of the pipeline, by name, a (B,) float tensor in that degradation's unit; NaN where it was not applied.
    hole: (B, 1, H, W) bool, true where the pixels were destroyed.
    """

    strengths: dict[str, Tensor]
    hole: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean and degraded images with their labels.

    clean, degraded: (B, 3, H, W) float in [0, 1]; labels: (B,) int64, `UNLABELLED` where unknown; damage: what turned one into the other.
    """

    clean: Tensor
    degraded: Tensor
    labels: Tensor
    damage: Damage

    def __post_init__(self) -> None:
        size = self.clean.shape
        if len(size) != 4 or size[1] != 3:
            raise ValueError(f"Expected clean images of shape (B, 3, H, W), found {tuple(size)}; convert them to RGB first.")
        if self.degraded.shape != size:
            raise ValueError(f"Expected degraded images of shape {tuple(size)} like the clean ones, found {tuple(self.degraded.shape)}.")
        if self.labels.shape != size[:1] or self.labels.dtype != torch.int64:
            raise ValueError(
                f"Expected int64 labels of shape ({size[0]},), found {self.labels.dtype} of shape {tuple(self.labels.shape)}; "
                "give unlabelled images the label -1."
            )
        if self.damage.hole.shape != (size[0], 1, *size[2:]):
            raise ValueError(f"Expected a hole of shape {(size[0], 1, *size[2:])}, found {tuple(self.damage.hole.shape)}.")

    def __len__(self) -> int:
        return len(self.labels)


class Output(NamedTuple):
    """What a model says of a batch; a field that it has no head for is `None`.

    logits: of the class, (B, num_classes); restored: images (B, 3, H, W), not clamped, because losses need their gradient outside [0, 1]
    too. Of K kinds of damage, in the order of the model's `damages`: presence: logits (B, K) that it is there; strength: (B, K) in the unit
    of that degradation, where it is there; hole: logits (B, 1, H, W) that a pixel was destroyed.

    A tuple, because data-parallel wrappers and exporters look into tuples and not into frozen dataclasses.
    """

    logits: Tensor | None = None
    restored: Tensor | None = None
    presence: Tensor | None = None
    strength: Tensor | None = None
    hole: Tensor | None = None

    def float(self) -> "Output":
        """The same in float32, whatever the model computed in."""
        return Output(*(None if each is None else each.float() for each in self))
