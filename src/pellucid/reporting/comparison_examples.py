"""Example images of a comparison: those on which two arms differ most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from torch import nn

from pellucid.checkpoint import load_model
from pellucid.data import Dataset
from pellucid.evaluation import TRACKS
from pellucid.experiments.analysis import differences_of_images
from pellucid.experiments.matrix import Job
from pellucid.experiments.results import Results
from pellucid.experiments.verdict import JOINT
from pellucid.reporting.gallery import collect_examples, view
from pellucid.reporting.render import html
from pellucid.run_folder import MODEL

CONTRASTED = (("restore", "psnr"), ("classify", "correct"))
"""Baselines of the joint arm, and the column of the comparison."""

NUM_PER_BASELINE = 4
"""Number of images per baseline, half of them with the joint arm ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """A row of pictures. text: description; pictures: caption and (H, W, 3) uint8."""

    text: str
    pictures: Sequence[tuple[str, NDArray[np.uint8]]]


def contrast_gallery(shown: Sequence[Contrast]) -> Markup:
    """The rows, and a note on their selection."""
    rows = (
        html(
            '<li><figure><figcaption>{text}</figcaption><div class="views">{views}</div></figure></li>\n',
            text=contrast.text,
            views=Markup().join(view(picture, caption, f"{contrast.text}: {caption}") for caption, picture in contrast.pictures),
        )
        for contrast in shown
    )
    text = "The evaluated pictures on which two arms differ most: examples of differences, not of their frequency."
    return html('<p>{text}</p><ul class="rows">{rows}</ul>', text=text, rows=Markup().join(rows))


def contrasts(results: Results, jobs: Sequence[Job]) -> list[Contrast]:
    """Rows of pictures for the report, from the models of the first seed; empty without their weights."""
    track = results.tracks[0]
    rows = []
    for baseline, column in CONTRASTED:
        seeds = [seed for seed in results.planned[1] if all(seed in results.runs.get(arm, {}) for arm in (JOINT, baseline))]
        folders = {job.arm: job.folder for job in jobs if job.arm in (JOINT, baseline) and seeds and job.seed == seeds[0]}
        if len(folders) == 2 and all((folder / MODEL).exists() for folder in folders.values()):
            networks = {arm: load_model(folder, "cpu")[0] for arm, folder in folders.items()}
            images = next(job.recipe for job in jobs if job.arm == JOINT).data.splits().measured
            indices = most_different(results, JOINT, baseline, track, column, NUM_PER_BASELINE)
            rows += [_row(networks, images, track, index) for index in indices]
    return rows


def most_different(results: Results, arm_a: str, arm_b: str, track: str, metric: str, num: int) -> list[int]:
    """Indices in the data set of at most `num` images on which two arms differ most, in the mean over the seeds and levels that both have.

    metric: a column of `Result.per_image`. The first half are those where `arm_a` is ahead, for `psnr` its largest gains, for `correct`
    those that it classifies correctly and `arm_b` does not; then those where it is behind. If one half has too few, the other one is
    larger; images on which the arms do not differ are not listed.
    """
    differences = np.nan_to_num(differences_of_images(results, arm_a, arm_b, track, metric))
    order = np.argsort(-differences, kind="stable")
    ahead = [int(index) for index in order if differences[index] > 0]
    behind = [int(index) for index in np.argsort(differences, kind="stable") if differences[index] < 0]
    num_behind = min(len(behind), max(num // 2, num - len(ahead)))
    return ahead[: num - num_behind] + behind[:num_behind]


def _row(networks: Mapping[str, nn.Module], images: Dataset, track: str, index: int) -> Contrast:
    """One image: clean, damaged, and the outputs of the networks."""
    levels = TRACKS[track].levels
    examples = {
        arm: collect_examples(network, images.classes, images, TRACKS[track], [index], levels)[0] for arm, network in networks.items()
    }
    first = next(iter(examples.values()))
    shown = [("clean", first.clean), (f"damaged, {first.input_psnr:.1f} dB", first.damaged)]
    for arm, each in examples.items():
        parts = [] if each.predicted is None else [f"{each.predicted} {each.confidence:.0%}"]
        parts += [] if each.psnr is None else [f"{each.psnr:.1f} dB"]
        shown.append((f"{arm}: {', '.join(parts)}", each.damaged if each.restored is None else each.restored))
    return Contrast(f"{images.split} image {index:,}, {first.label or 'no label'}", shown)
