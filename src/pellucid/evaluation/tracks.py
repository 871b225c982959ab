"""Tracks: the benchmark damage under which models are compared, byte-identical everywhere.

A track has one or several levels, each a pipeline. The damage of image i is keyed by (track, level, protocol seed, i) alone. A track that
differs from another only in the training has the identical damage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pellucid.degradations import CORRUPTIONS, SUITES, Mixture, Pipeline, Step
from pellucid.degradations.occlusion import CONTENTS

if TYPE_CHECKING:
    from torch import Tensor

    from pellucid.batch import Damage

PROTOCOL_SEED = 0
"""The seed of published figures."""


@dataclass(frozen=True, slots=True)
class Level:
    """One strength of a track's damage.

    group: a group of levels with its own figure, the mean over its levels; `None` in most tracks.
    """

    name: str
    pipeline: Pipeline | Mixture
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """A kind of damage at one or several levels; its figure is the mean over them.

    same_as: the name of the track with the identical damage; `None` if there is none.
    """

    name: str
    levels: tuple[Level, ...]
    same_as: str | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of its levels, in their order."""
        return tuple(dict.fromkeys(level.group for level in self.levels if level.group is not None))


def _levels(degradation: str, quantity: str, *strengths: float, group: str | None = None) -> tuple[Level, ...]:
    return tuple(Level(f"{quantity}={strength:g}", Pipeline((Step(degradation, strength),)), group) for strength in strengths)


PAIRS = "pairs"
"""The track of data sets with a damaged version of each image."""

TRACKS = {
    track.name: track
    for track in (
        Track("clean", (Level("clean", SUITES["none"]),)),
        Track("reference", (Level("reference", SUITES["reference"]),)),
        Track("noise", _levels("gaussian_noise", "sigma", 0.04, 0.06, 0.08, 0.09, 0.10)),
        Track("occlusion", _levels("occlusion", "side", 4, 8, 12, 16)),
        Track("lowres", _levels("low_resolution", "factor", 2, 4)),
        Track("jpeg", _levels("jpeg", "quality", 80, 65, 58, 50, 40)),
        Track("blur", _levels("gaussian_blur", "sigma", 0.4, 0.6, 0.7, 0.8, 1.0)),
        Track("contents", tuple(Level(content, Pipeline((Step(f"{content}_square", 8),))) for content in CONTENTS)),
        Track("everyday", (Level("everyday", SUITES["everyday"]),)),
        Track(PAIRS, (Level(PAIRS, SUITES["none"]),)),  # real damage, of the pictures of the data set
        Track("low-label", (Level("reference", SUITES["reference"]),), same_as="reference"),  # of models trained with 10 % of the labels
        Track("corruptions", tuple(level for name in CORRUPTIONS for level in _levels(f"{name}_c", name, 1, 2, 3, 4, 5, group=name))),
        *(Track(suite, (Level(suite, SUITES[suite]),)) for suite in ("medical", "driving", "surveillance", "art")),
    )
}
"""The tracks of the protocol by name."""


def own_track(damage: object, paired: bool) -> str:
    """The name of the track with the damage that a model was trained on; `reference` if there is none.

    damage: of its recipe, as in `recipe.settings`; paired: its data set has damaged versions of the images. For a suite that is not a
    track, a track with the same kinds of damage.
    """
    if paired:
        return PAIRS
    if not isinstance(damage, str) or damage not in SUITES:
        return "reference"
    if damage in TRACKS:
        return damage
    kinds = set(SUITES[damage].kinds)
    matching = (name for name, track in TRACKS.items() if kinds and len(track.levels) == 1 and set(track.levels[0].pipeline.kinds) == kinds)
    return next(matching, "reference")


def seen_groups(track: Track, trained: Collection[str]) -> tuple[str, ...]:
    """The groups of a track that a model trained on these kinds of damage has seen: the same corruption, or an equivalent degradation."""
    return tuple(name for name in track.groups if not {f"{name}_c", *CORRUPTIONS[name].like}.isdisjoint(trained))


def apply_damage(track: Track, level: Level, images: Tensor, indices: Iterable[int], seed: int = PROTOCOL_SEED) -> tuple[Tensor, Damage]:
    """Degrades images (B, 3, H, W), float on the CPU, with `indices` in their data set; returns degraded images in float32 and the damage.

    Each image is degraded separately, in float64, and rounded to float32 at the end: torch's float32 noise and resizing differ with the
    processor's vector instructions, its float64 versions only in the last bits, which the rounding removes.
    """
    import torch

    from pellucid.batch import Damage
    from pellucid.seeding import generator

    parts = [
        level.pipeline(image, generator("track", track.same_as or track.name, level.name, seed, index))
        for image, index in zip(images.double().unsqueeze(1).unbind(), indices, strict=True)
    ]
    strengths = {kind: torch.cat([record.strengths[kind] for _, record in parts]) for kind in level.pipeline.kinds}
    mask = torch.cat([record.mask for _, record in parts])
    return torch.cat([degraded for degraded, _ in parts]).float(), Damage(strengths, mask)
