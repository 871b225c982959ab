"""Pictures to look at: the measured images on which two arms differ most, as each of them answers."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.checkpoint import load_model
from pellucid.data import Dataset
from pellucid.evaluation import TRACKS
from pellucid.evaluation.tracks import damage
from pellucid.experiments.matrix import Job, test_images
from pellucid.experiments.report import Example, most_different
from pellucid.experiments.results import Results
from pellucid.metrics.psnr import psnr_of
from pellucid.run import MODEL

QUESTIONS = (("restore", "psnr"), ("classify", "correct"))
"""Whom the joint arm is compared with, and in what."""

PER_QUESTION = 4
"""Images that are shown of each comparison, one half where the joint arm is ahead."""


def examples(results: Results, jobs: Sequence[Job], joint: str = "joint") -> list[Example]:
    """Rows of pictures for the report, by the models of the first seed; none where their weights are gone."""
    track = results.tracks[0]
    rows = []
    for rival, column in QUESTIONS:
        seeds = [seed for seed in results.planned[1] if all(seed in results.runs.get(arm, {}) for arm in (joint, rival))]
        folders = {job.arm: job.folder for job in jobs if job.arm in (joint, rival) and seeds and job.seed == seeds[0]}
        if len(folders) == 2 and all((folder / MODEL).exists() for folder in folders.values()):
            networks = {arm: load_model(folder, "cpu")[0] for arm, folder in folders.items()}
            images = test_images(next(job.recipe for job in jobs if job.arm == joint))
            places = most_different(results, joint, rival, track, column, PER_QUESTION)
            rows += [_row(networks, images, track, place) for place in places]
    return rows


@torch.inference_mode()
def _row(networks: Mapping[str, nn.Module], images: Dataset, track: str, place: int) -> Example:
    """One image, clean, damaged, and as the networks answer."""
    level = TRACKS[track].levels[0]
    clean = torch.tensor(images.images[place]).permute(2, 0, 1)[None].float() / 255
    degraded, _ = damage(TRACKS[track], level, clean, [place])
    shown = [("clean", _pixels(clean)), (f"damaged, {psnr_of(degraded, clean).item():.1f} dB", _pixels(degraded))]
    for arm, network in networks.items():
        answer: Output = network(degraded)
        said = []
        if answer.logits is not None:
            confidence, label = answer.logits.softmax(1).max(1)
            said.append(f"{images.classes[int(label)]} {confidence.item():.0%}")
        if answer.restored is not None:
            said.append(f"{psnr_of(answer.restored, clean).item():.1f} dB")
        shown.append((f"{arm}: {', '.join(said)}", _pixels(degraded if answer.restored is None else answer.restored)))
    return Example(
        f"{images.split} image {place:,}, {images.classes[images.labels[place]] if images.labels[place] >= 0 else 'no label'}", shown
    )


def _pixels(image: Tensor) -> NDArray[np.uint8]:
    """(1, 3, H, W), about [0, 1] -> (H, W, 3)."""
    pixels: NDArray[np.uint8] = (image[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return pixels
