"""The report of a run."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pellucid.checkpoint import ModelMetadata
from pellucid.data import Dataset
from pellucid.evaluation import TRACKS
from pellucid.evaluation.calibration import as_predicted
from pellucid.evaluation.evaluate import Evaluation
from pellucid.evaluation.trust_figures import Trust
from pellucid.metrics import MAX_PSNR
from pellucid.recipe import DataConfig
from pellucid.reporting.blocks import Block, Html, Report, Section, Steps, Subheading, Text
from pellucid.reporting.curves import curves, smoothing
from pellucid.reporting.facts import facts
from pellucid.reporting.gallery import MAX_SIDE, SMALL_SIDE, collect_examples, gallery
from pellucid.reporting.reliability import confusion_section, strengths_section, trust_section
from pellucid.reporting.render import html, write_report_files
from pellucid.reporting.scores import figures, result
from pellucid.run_folder import LOG
from pellucid.training.log import read_log

NUM_EXAMPLES = 18
"""Number of pictures in the sample, for full rows of one, two or three."""

NUM_EXTREMES = 6
"""Number of best and of worst pictures."""


def write_report(
    folder: Path,
    network: nn.Module,
    metadata: ModelMetadata,
    dataset: Dataset,
    evaluation: Evaluation,
    baselines: Mapping[str, Evaluation] | None = None,
    trust: Trust | None = None,
    strengths: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> Path:
    """Write `report.html` and `report.md` into the folder of a run, replacing older ones, and return the path of the first.

    network, metadata: as returned by `run` or `load_model`; dataset: of the evaluation, which is one of `as_predicted`; baselines:
    evaluations of other methods on the same track by the name of their row, such as those of `evaluation.classical.CLASSICAL`; trust: see
    `evaluation.trust`; strengths: figures by kind of damage and its strength, see `Trust.by_strength`.
    """
    name = folder.resolve().name
    network = as_predicted(network, metadata)
    records = read_log(folder / LOG)
    sections = [
        figures(metadata, dataset, evaluation, baselines or {}),
        _sample(network, metadata, dataset, evaluation),
        _extremes(network, metadata, dataset, evaluation),
        None if trust is None else trust_section(trust),
        None if trust is None else confusion_section(trust.confusion(), trust.classes),
        strengths_section(strengths or {}),
        _course(records, evaluation),
        facts(network, metadata, dataset, evaluation.num_images, records),
        _next_steps(folder, metadata, evaluation),
    ]
    report = Report(
        f"Run {name}", html("report of the run <b>{name}</b>", name=name), result(evaluation, baselines), [*filter(None, sections)]
    )
    return write_report_files(report, folder)


def _sample(network: nn.Module, metadata: ModelMetadata, dataset: Dataset, evaluation: Evaluation) -> Section:
    """A sample of evenly spaced pictures, so that they are not selected."""
    num_images = evaluation.num_images
    indices = sorted({index * num_images // NUM_EXAMPLES for index in range(NUM_EXAMPLES)})
    shown = collect_examples(network, metadata.classes, dataset, TRACKS[evaluation.track], indices)
    side = max(dataset.size)
    known = [example.correct for example in shown if example.correct is not None]
    sentences = [
        f"All {num_images:,} pictures."
        if len(shown) == num_images
        else f"{len(shown)} of the {num_images:,} pictures, evenly spaced, not selected by hand.",
        f"{sum(known)} of {len(known)} are classified correctly." if known else "",
        f"Below each: its index and its PSNR, damaged{'' if shown[0].psnr is None else ' → restored'}.",
        "They are enlarged without smoothing." if side <= SMALL_SIDE else "",
        f"They are scaled down from {side} to {MAX_SIDE} pixels." if side > MAX_SIDE else "",
    ]
    return Section(f"A sample of the {dataset.split} pictures", [Text(" ".join(filter(None, sentences))), Html(gallery(shown))])


def _extremes(network: nn.Module, metadata: ModelMetadata, dataset: Dataset, evaluation: Evaluation) -> Section | None:
    """The pictures with the largest and smallest gains; `None` without restored pictures, or if the sample shows all of them."""
    track = TRACKS[evaluation.track]
    gains = {
        (level, index): gain
        for level in track.levels
        if "psnr" in (columns := evaluation.per_image[level.name])
        for index, gain in enumerate((columns["psnr"] - columns["input_psnr"]).tolist())
        if math.isfinite(gain) and columns["input_psnr"][index] < MAX_PSNR
    }
    if len(gains) < 4 * NUM_EXTREMES:
        return None
    ordered = sorted(gains, key=gains.__getitem__)
    content: list[Block] = [Text("By the gain in PSNR, over all evaluated pictures that are damaged.")]
    for heading, chosen in (("Largest gains", ordered[: -NUM_EXTREMES - 1 : -1]), ("Smallest gains, or losses", ordered[:NUM_EXTREMES])):
        levels, indices = zip(*chosen, strict=True)
        shown = collect_examples(network, metadata.classes, dataset, track, indices, levels)
        content += [Subheading(heading), Html(gallery(shown))]
    return Section("Largest and smallest gains", content)


def _course(records: Sequence[Mapping[str, Any]], evaluation: Evaluation) -> Section:
    heading = "Training"
    if not records:
        return Section(heading, [Text(f"The folder of this run has no records of its training ({LOG}), so there are no curves.")])
    window = smoothing(len(records))
    sentences = [
        "Losses, accuracy and PSNR are those of single batches of damaged training pictures.",
        f"Thin: every record; thick: the mean over {window} records around it." if window > 1 else "",
        f"Dashed: the trained network on the {evaluation.split} pictures (track “{evaluation.track}”).",
    ]
    return Section(heading, [Text(" ".join(filter(None, sentences))), Html(curves(records, evaluation.metrics, evaluation.split))])


def _next_steps(folder: Path, metadata: ModelMetadata, evaluation: Evaluation) -> Section:
    run, dataset = shlex.quote(str(folder)), metadata.recipe.get("data", {}).get("dataset", DataConfig.dataset)
    encoder = metadata.model.encoder
    longer = "pellucid train --recipe " + ("photo --epochs 40" if encoder.is_pretrained else "base")
    longer += "" if dataset == DataConfig.dataset else f" --data {shlex.quote(dataset)}"
    longer += " --damage none" if metadata.recipe.get("damage") == "none" else ""
    longer += "" if metadata.tasks == "both" else f" --model.tasks {metadata.tasks}"
    longer += "" if encoder.weights is None else f" --model.encoder.weights {shlex.quote(encoder.weights)}"
    steps = {
        "Restore and classify your own pictures:": f"pellucid predict PICTURES... --out restored --model {run}",
        f"Evaluate it, on this or another track ({', '.join(TRACKS)}):": f"pellucid evaluate {run} --track {evaluation.track}",
        "Train longer, for a better network:": longer,
    }
    return Section("Next steps", [Steps(steps)])
