"""Pipelines: several degradations in sequence, sampled for each image and recorded.

`Step` and `Pipeline` are immutable, comparable and hashable, and can be written in a recipe's YAML. Torch is imported when a pipeline is
called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pellucid.degradations.degradation import Degradation
from pellucid.degradations.occlusion import FILL, paste
from pellucid.degradations.table import DEGRADATIONS
from pellucid.errors import UserError
from pellucid.lazy import torch
from pellucid.settings import Settings, setting

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from pellucid.batch import Damage


@dataclass(frozen=True)
class Step(Settings):
    """One degradation of a pipeline; raises `UserError` for invalid settings.

    Args:
        name: a key of `DEGRADATIONS`.
        low: the smallest strength, in the degradation's unit; strengths are drawn uniformly.
        high: the largest strength; `None` for a fixed strength, `low`.
        probability: of applying this step to an image, from 0 to 1.
        relative: the strengths are parts of the image's shorter side: 0.1 is 3.2 pixels at 32, and 22.4 pixels at 224. Lengths only.
    """

    name: str
    low: float
    high: float | None = None
    probability: float = setting(1.0, least=0, most=1)
    relative: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.relative and not self.degradation.is_length:
            raise UserError(
                f"Expected relative strengths of a length in pixels, found relative {self.name} ({self.degradation.unit}); "
                "leave relative out."
            )
        least, greatest = self.degradation.valid_range
        if not least <= self.low <= self.highest <= greatest:
            raise UserError(
                f"Expected strengths of {self.name} with {least:g} <= low <= high <= {greatest:g} ({self.degradation.unit}), "
                f"found low {self.low:g} and high {self.highest:g}; correct the step."
            )

    @property
    def highest(self) -> float:
        """The largest strength that is drawn."""
        return self.low if self.high is None else self.high

    @property
    def degradation(self) -> Degradation:
        """The row of `DEGRADATIONS`."""
        if self.name not in DEGRADATIONS:
            raise UserError(f"Expected a degradation out of {', '.join(DEGRADATIONS)}, found {self.name!r}; correct its name.")
        return DEGRADATIONS[self.name]

    @property
    def kind(self) -> str:
        """The name under which the damage is recorded."""
        return self.degradation.kind or self.name

    def apply(self, images: Tensor, strength: Tensor, generator: Generator) -> tuple[Tensor, Tensor | None]:
        """The degraded images, and the mask of the pixels destroyed by this step, (B, 1, H, W) bool; `None` if it destroys none."""
        row = self.degradation
        if row.mask is None:
            return row.function(images, strength, generator), None
        mask = row.mask(images, strength, generator)
        return paste(images, mask, FILL if row.fill is None else row.fill(images, generator)), mask


@dataclass(frozen=True)
class Pipeline(Settings):
    """Steps in the order in which they are applied; raises `UserError`.

    Args:
        steps: the degradations, each kind at most once.
        at_most: maximum number of the steps drawn for an image that are applied, chosen uniformly; `None` for no maximum.
    """

    steps: tuple[Step, ...] = ()
    at_most: int | None = setting(None, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.kinds)) < len(self.steps):
            names = ", ".join(step.name for step in self.steps)
            raise UserError(f"Expected every kind of degradation once at most, found {names}; widen the range of one step.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of damage that it records, in the order of the steps."""
        return tuple(step.kind for step in self.steps)

    def __call__(self, images: Tensor, generator: Generator) -> tuple[Tensor, Damage]:
        """Degrades images (B, 3, H, W) in [0, 1], with a generator on their device; images without a step are returned unchanged."""
        from pellucid.batch import Damage

        strengths, given = {}, images
        mask = torch.zeros_like(images[:, :1], dtype=torch.bool)
        for step, chosen in zip(self.steps, self._choose(images, generator), strict=True):
            uniform = torch.rand(len(images), generator=generator, device=images.device, dtype=torch.float32)
            strength = step.low + (step.highest - step.low) * uniform
            if step.relative:
                strength = strength * min(images.shape[2:])
            if chosen is None:
                images, destroyed = step.apply(images, strength, generator)
                if destroyed is not None:
                    mask |= destroyed
            else:
                part, destroyed = step.apply(images.index_select(0, chosen), strength[chosen], generator)  # a fifth of indexing's time
                images = (images.clone() if images is given else images).index_copy_(0, chosen, part)
                if destroyed is not None:
                    mask[chosen] |= destroyed
                strength = torch.full_like(strength, math.nan).index_copy_(0, chosen, strength[chosen])
            strengths[step.kind] = strength
        return images, Damage(strengths, mask)

    def _choose(self, images: Tensor, generator: Generator) -> list[Tensor | None]:
        """For each step the indices of the images it is applied to, or `None` for all images, which needs no copies."""
        certain = [step.probability == 1 and self.at_most is None for step in self.steps]
        if all(certain):
            return [None] * len(self.steps)
        shape = (len(self.steps), len(images))
        probabilities = torch.tensor([[step.probability] for step in self.steps], device=images.device)
        drawn = torch.rand(shape, generator=generator, device=images.device, dtype=torch.float32) < probabilities
        if self.at_most is not None:
            draws = torch.rand(shape, generator=generator, device=images.device, dtype=torch.float32).masked_fill(~drawn, 2.0)
            drawn &= draws.argsort(dim=0).argsort(dim=0) < self.at_most
        return [None if every else row.nonzero().squeeze(1) for every, row in zip(certain, drawn, strict=True)]
