"""The data types shared by all stages: a batch of images, and the output of a model.

Images are float tensors in [0, 1] of shape (B, 3, H, W), RGB, everywhere between decoding and encoding; models normalise internally. The
stage packages (data, degradations, models, objectives, metrics) do not import one another; these types are their interface.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Damage:
    """The damage to each image of a batch.

    strengths: for every kind of damage of the pipeline, a (B,) float tensor in that degradation's unit; NaN where it was not applied.
    mask: (B, 1, H, W) bool, true where pixels were destroyed.
    """

    strengths: dict[str, Tensor]
    mask: Tensor


Degrade = Callable[[Tensor, torch.Generator], tuple[Tensor, Damage]]
"""Clean images (B, 3, H, W) and a generator on their device -> degraded images and the damage."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean and degraded images with their labels.

    clean, degraded: (B, 3, H, W) float in [0, 1]; labels: (B,) int64, `UNLABELLED` where unknown; damage: the degradations applied.
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
        if self.damage.mask.shape != (size[0], 1, *size[2:]):
            raise ValueError(f"Expected a mask of shape {(size[0], 1, *size[2:])}, found {tuple(self.damage.mask.shape)}.")

    def __len__(self) -> int:
        return len(self.labels)


class Output(NamedTuple):
    """The output of a model for a batch; `None` for a field without a head.

    logits: of the class, (B, num_classes); restored: images (B, 3, H, W), not clamped, because losses need their gradient outside [0, 1]
    too. For K kinds of damage, in the order of the model's `damages`: presence: logits (B, K); strength: (B, K) in the unit of that
    degradation, if present; mask: logits (B, 1, H, W) of a pixel being destroyed.

    A tuple, because data-parallel wrappers and exporters traverse tuples but not frozen dataclasses.
    """

    logits: Tensor | None = None
    restored: Tensor | None = None
    presence: Tensor | None = None
    strength: Tensor | None = None
    mask: Tensor | None = None

    def float(self) -> "Output":
        """The same output in float32."""
        return Output(*(None if each is None else each.float() for each in self))


def from_pixels(pixels: NDArray[np.unsignedinteger[Any]]) -> Tensor:
    """Images (B, H, W, 3), uint8 or uint16, RGB -> (B, 3, H, W), float in [0, 1]."""
    return torch.tensor(pixels).permute(0, 3, 1, 2).contiguous().float() / np.iinfo(pixels.dtype).max


def to_pixels(images: Tensor, dtype: torch.dtype = torch.uint8) -> NDArray[Any]:
    """Images (B, 3, H, W), clamped to [0, 1], on any device -> (B, H, W, 3), uint8 or uint16, rounded."""
    pixels = images.clamp(0, 1).mul(torch.iinfo(dtype).max).round().permute(0, 2, 3, 1).contiguous()
    return pixels.to(dtype).cpu().numpy()
