"""Figures by the strength of the damage, for models whose own track has a single strength of each kind."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pellucid.batch import Output
from pellucid.checkpoint import ModelMetadata
from pellucid.data import Dataset
from pellucid.evaluation.tracks import TRACKS
from pellucid.evaluation.trust import measure_trust

NUM_IMAGES = 200
"""Images at each strength."""


def measure_strengths(
    network: Callable[[Tensor], Output], metadata: ModelMetadata, dataset: Dataset, device: torch.device | str = "cpu"
) -> dict[str, list[dict[str, Any]]]:
    """The rows of `Trust.by_strength` on the first images, at the levels of all tracks with one kind of damage that the model was trained
    on."""
    measured: dict[str, list[dict[str, Any]]] = {}
    for track in TRACKS.values():
        kinds = {kind for level in track.levels for kind in level.pipeline.kinds}
        if len(track.levels) > 1 and not track.groups and len(kinds) == 1 and kinds <= set(metadata.trained_kinds):
            measured |= measure_trust(network, metadata, dataset, track, limit=NUM_IMAGES, device=device).by_strength()
    return measured
