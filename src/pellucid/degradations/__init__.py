"""Degradations: clean images -> degraded images, and a record of the damage.

A degradation is a pure function of (images, strength of each image, generator) in its family's file, and a row in `DEGRADATIONS`. A
`Pipeline` samples and applies several; `SUITES` lists named pipelines and mixtures.

    >>> import torch
    >>> from pellucid.degradations import SUITES
    >>> from pellucid.seeding import generator
    >>> clean = torch.rand(4, 3, 32, 32, generator=generator("example"))
    >>> degraded, damage = SUITES["reference"](clean, generator("damage", 0))
    >>> tuple(degraded.shape), damage.mask.sum(dim=(1, 2, 3)).tolist(), sorted(damage.strengths)
    ((4, 3, 32, 32), [64, 64, 64, 64], ['gaussian_noise', 'occlusion'])
"""

from pellucid.degradations.corruptions import CORRUPTIONS
from pellucid.degradations.degradation import Degradation
from pellucid.degradations.mixture import Mixture
from pellucid.degradations.occlusion import FILL
from pellucid.degradations.pipeline import Pipeline, Step
from pellucid.degradations.suites import PIPELINES
from pellucid.degradations.table import DEGRADATIONS

__all__ = ["CORRUPTIONS", "DEGRADATIONS", "FILL", "SUITES", "Degradation", "Mixture", "Pipeline", "Step"]

SUITES: dict[str, Pipeline | Mixture] = {
    **PIPELINES,
    "everyday": Mixture({"reference": 0.5, "mixed": 0.5}),
    "general": Mixture({"reference": 0.4, "mixed": 0.3, "single": 0.3}),
}
"""Pipelines and mixtures by name."""
