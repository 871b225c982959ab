"""Evaluates the reliability of predictions: confidence, abstention, gate, per-pixel uncertainty, alarm and warning.

All are measured on the images of a track, the gate also on undamaged ones. With several levels, every image counts at each.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.checkpoint import ModelMetadata
from pellucid.data import Dataset
from pellucid.evaluation.calibration import forward
from pellucid.evaluation.evaluate import Progress, batches, num_measured
from pellucid.evaluation.ranking import rank_correlation, sparsification
from pellucid.evaluation.tracks import TRACKS, Track
from pellucid.evaluation.trust_figures import Trust
from pellucid.labels import UNLABELLED
from pellucid.metrics import Columns, psnr_of
from pellucid.models.evidence import evidence_of
from pellucid.models.gate import Gate, change_of, undamaged
from pellucid.models.uncertainty import uncertainty

NUM_PER_STRENGTH = 200
"""Images at each strength of `measure_strengths`."""


def measure_trust(
    network: Callable[[Tensor], Output],
    metadata: ModelMetadata,
    dataset: Dataset,
    track: Track,
    *,
    batch_size: int = 250,
    limit: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Trust:
    """Evaluate a network in evaluation mode on the first `limit` images of a data set; three forward passes for each image and level.

    Raises `UserError` if there are no images.
    """
    num_images = num_measured(dataset, limit)
    plan = [(track, level, False) for level in track.levels] + [(TRACKS["clean"], TRACKS["clean"].levels[0], True)]
    parts: tuple[list[Columns], list[Columns]] = ([], [])
    strengths: list[tuple[int, Columns]] = []
    done = 0
    for on, level, is_clean in plan:
        for batch in batches(dataset, on, level, num_images, batch_size, device):
            parts[is_clean].append(_columns(network, metadata, batch, second=not is_clean))
            if not is_clean:
                strengths.append((len(batch), batch.damage.strengths))
            done += len(batch)
            if progress is not None:
                progress(done, num_images * len(plan))
    columns, clean = ({name: torch.cat([each[name] for each in part]) for name in part[0]} for part in parts)
    kinds = dict.fromkeys(kind for _, each in strengths for kind in each)
    return Trust(
        track=track.name,
        dataset=dataset.name,
        split=dataset.split,
        num_images=num_images,
        temperature=metadata.temperature,
        fitted=metadata.fitted,
        classes=dataset.classes,
        columns=columns,
        clean=clean,
        strengths={kind: torch.cat([each.get(kind, torch.full((num,), torch.nan)).cpu() for num, each in strengths]) for kind in kinds},
    )


def measure_strengths(
    network: Callable[[Tensor], Output],
    metadata: ModelMetadata,
    dataset: Dataset,
    device: torch.device | str = "cpu",
    limit: int | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """The rows of `Trust.by_strength` on the first images, at the levels of all tracks with one kind of damage that the model was trained
    on; for models whose own track has a single strength of each kind. limit: at most as many images, as for `evaluate`."""
    limit = min(limit or NUM_PER_STRENGTH, NUM_PER_STRENGTH)
    measured: dict[str, list[dict[str, Any]]] = {}
    for track in TRACKS.values():
        kinds = {kind for level in track.levels for kind in level.pipeline.kinds}
        if len(track.levels) > 1 and not track.groups and len(kinds) == 1 and kinds <= set(metadata.trained_kinds):
            measured |= measure_trust(network, metadata, dataset, track, limit=limit, device=device).by_strength()
    return measured


@torch.inference_mode()
def _columns(network: Callable[[Tensor], Output], metadata: ModelMetadata, batch: Batch, second: bool) -> Columns:
    output = forward(network, batch.degraded)
    columns = dict(_of_image(output, batch, metadata.gate))
    if output.logits is not None:
        columns |= _of_class(output.logits, batch.labels, metadata.temperature)
        if metadata.least_evidence is not None:
            evidence = evidence_of(output.logits.cpu().numpy())
            columns["unfamiliar"] = torch.from_numpy(evidence < metadata.least_evidence).float()
    if second and output.logits is not None and output.restored is not None:
        left = columns["left"].to(batch.degraded.device)[:, None, None, None] > 0
        given = torch.where(left, batch.degraded, output.restored.clamp(0, 1))
        again = forward(network, given).logits
        if again is not None:
            columns["alarm"] = (again.argmax(dim=1) != output.logits.argmax(dim=1)).float()
    return {name: column.cpu() for name, column in columns.items()}


def _of_class(logits: Tensor, labels: Tensor, temperature: float) -> Columns:
    unknown = labels == UNLABELLED
    return {
        "label": labels.float(),
        "predicted": logits.argmax(dim=1).float(),
        "correct": (logits.argmax(dim=1) == labels).float().masked_fill(unknown, torch.nan),
        "raw_confidence": logits.softmax(dim=1).amax(dim=1),
        "confidence": (logits / temperature).softmax(dim=1).amax(dim=1),
    }


def _of_image(output: Output, batch: Batch, gate: Gate | None) -> Iterator[tuple[str, Tensor]]:
    yield "input_psnr", psnr_of(batch.degraded, batch.clean)
    if output.restored is None:
        return
    error = (output.restored.clamp(0, 1) - batch.clean).abs().mean(dim=1).cpu()  # ranks are of float64, which not every device has
    degraded, restored = batch.degraded.cpu().numpy(), output.restored.cpu().numpy()
    pictures = zip(*(each.transpose(0, 2, 3, 1) for each in (degraded, restored)), strict=True)
    estimate = torch.from_numpy(np.stack([uncertainty(*pair) for pair in pictures])).to(error)
    presence = None if output.presence is None else output.presence.cpu().numpy()
    yield "psnr", psnr_of(output.restored, batch.clean)
    yield "left", torch.from_numpy(undamaged(gate, presence, change_of(degraded, restored))).to(error)
    yield "guess", estimate.flatten(1).mean(dim=1)
    yield "rank", rank_correlation(estimate, error).float()
    yield "by_guess", sparsification(estimate, error)
    yield "by_error", sparsification(error, error)
