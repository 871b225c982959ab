"""Mixtures: every image of a batch is degraded by one of several pipelines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pellucid.degradations.pipeline import Pipeline
from pellucid.degradations.suites import PIPELINES
from pellucid.errors import UserError
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from pellucid.batch import Damage


@dataclass(frozen=True)
class Mixture:
    """Weighted suites: each image is degraded by one of them, drawn with probability proportional to its weight. Raises `UserError`.

    Args:
        weights: names out of `PIPELINES`, and their weights; they need not sum to 1.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.weights if name not in PIPELINES]
        if unknown or not self.weights:
            raise UserError(
                f"Expected a mixture of suites out of {', '.join(PIPELINES)}, found {', '.join(unknown) or 'none'}; correct its weights."
            )
        for name, weight in self.weights.items():
            valid = isinstance(weight, int | float) and weight >= 0 and math.isfinite(weight)
            if not valid or not any(self.weights.values()):
                raise UserError(f"Expected weights of at least 0, one of them above, found {weight!r} of {name}; correct it.")

    def __hash__(self) -> int:
        return hash(tuple(self.weights.items()))

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """The suites themselves, in the order of `weights`."""
        return tuple(PIPELINES[name] for name in self.weights)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of damage that it records, without duplicates."""
        return tuple(dict.fromkeys(kind for pipeline in self.pipelines for kind in pipeline.kinds))

    def __call__(self, images: Tensor, generator: Generator) -> tuple[Tensor, Damage]:
        """Degrades images (B, 3, H, W) in [0, 1], with a generator on their device."""
        from pellucid.batch import Damage

        shares = torch.tensor(list(self.weights.values()), dtype=torch.float32).cumsum(0)
        draws = torch.rand(len(images), generator=generator, device=images.device, dtype=torch.float32) * shares[-1]
        suite = torch.bucketize(draws, shares[:-1].to(images.device), right=True)
        degraded, mask = torch.empty_like(images), torch.zeros_like(images[:, :1], dtype=torch.bool)
        strengths = {kind: torch.full_like(draws, math.nan) for kind in self.kinds}
        for index, pipeline in enumerate(self.pipelines):
            chosen = (suite == index).nonzero().squeeze(1)
            degraded[chosen], damage = pipeline(images.index_select(0, chosen), generator)
            mask[chosen] = damage.mask
            for kind, strength in damage.strengths.items():
                strengths[kind][chosen] = strength
        return degraded, Damage(strengths, mask)
