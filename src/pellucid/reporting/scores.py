"""The summary of a run in one sentence, and its tables of figures."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from pellucid.checkpoint import ModelMetadata
from pellucid.data import Dataset
from pellucid.degradations import Mixture, Step
from pellucid.evaluation import PAIRS, TRACKS
from pellucid.evaluation.evaluate import Evaluation
from pellucid.labels import UNLABELLED
from pellucid.metrics import BROKEN_MARK, BROKEN_NOTE, DAMAGED, FIGURES, MAX_PSNR, Scores, figure_text
from pellucid.reporting.blocks import Block, Section, Table, Terms, Text
from pellucid.reporting.render import html

NOTES = {
    "damaged image": "not restored",
    "non-local means": "no training; given the true noise",
    "inpainting": "no training; given the true mask",
    "inpainting, then means": "no training; given both",
}
"""Notes on the rows of `evaluation.classical.CLASSICAL`."""


def result(evaluation: Evaluation, baselines: Mapping[str, Evaluation] | None = None) -> Markup:
    """The summary sentence, and a warning if a method without training restores better."""
    accuracy = evaluation.metrics["accuracy"]
    of_damaged = evaluation.kinds.get(DAMAGED)  # the PSNR of undamaged pictures would dominate the mean
    psnr, before = ((of_damaged or evaluation.metrics)[name] for name in ("psnr", "input_psnr"))
    damaged = before is not None and before < MAX_PSNR
    pictures = f"{'all' if of_damaged else 'damaged' if damaged else 'undamaged'} {evaluation.split} pictures"
    clauses = []
    if accuracy is not None:
        share = html('<strong class="naming">{share} %</strong>', share=f"{accuracy:.1f}")
        clauses.append(html("classifies {share} of {pictures} correctly", share=share, pictures=pictures))
        pictures = "them"
    if of_damaged:
        pictures = f"the {of_damaged['num_images']:,} of {pictures} that are damaged"
    if psnr is not None:
        after = html('<strong class="restoring">{psnr} dB</strong>', psnr=f"{psnr:.1f}")
        if before is None or not damaged:
            verb = f"returns {pictures} at"
        else:
            verb = f"{'restores' if psnr > before else 'worsens'} {pictures} from {before:.1f} to"
        clauses.append(html("{verb} {after}", verb=verb, after=after))
    if not clauses:
        return html("The {split} pictures have no labels to evaluate this network on.", split=evaluation.split)
    sentence = html("This network {clauses}.", clauses=Markup(" and ").join(clauses))
    warning = shortfall(evaluation, baselines or {})
    return html("{sentence} {warning}", sentence=sentence, warning=warning) if warning else sentence


def shortfall(evaluation: Evaluation, baselines: Mapping[str, Evaluation]) -> str:
    """A warning if a method without training restores better than the network; empty otherwise."""
    psnr = evaluation.metrics["psnr"]
    better = {name: figure for name, other in baselines.items() if (figure := other.metrics["psnr"]) and psnr is not None and figure > psnr}
    if not better:
        return ""
    best = max(better, key=better.__getitem__)
    return f"OpenCV restores them better without training ({best}: {better[best]:.1f} dB): the training was too short."


def figures(metadata: ModelMetadata, dataset: Dataset, evaluation: Evaluation, baselines: Mapping[str, Evaluation]) -> Section:
    """The section of the tables: the network and its baselines, each level of the damage, and the meaning of the columns."""
    num_images = evaluation.num_images
    rows: dict[str, tuple[str, Scores]] = {
        "this network": (f"{metadata.model.name}, {metadata.model.encoder.name}", evaluation.metrics),
        "damaged image": (NOTES["damaged image"], {"psnr": evaluation.metrics["input_psnr"]}),
    }
    for name, baseline in baselines.items():
        fewer = f"first {baseline.num_images:,} pictures only" if baseline.num_images < num_images else ""
        if not (fewer and name in rows):  # the existing row covers all pictures
            rows[name] = "; ".join(filter(None, (NOTES.get(name), fewer))), baseline.metrics
    columns = [name for name in evaluation.shown if name != "input_psnr"]
    compared: dict[str, Scores] = {
        html("{name}<small>{note}</small>", name=name, note=note): scores
        for name, (note, scores) in rows.items()
        if any(scores.get(column) is not None for column in columns)
    }
    part = "all" if num_images == len(dataset) else "the first"
    broken = evaluation.metrics["broken"]
    content: list[Block] = [Text(f"Measured on {part} {evaluation.images}, track “{evaluation.track}”: {_damage(evaluation.track)}.")]
    if applied := [*["temperature"] * (metadata.temperature != 1), *["gate"] * (metadata.gate is not None)]:
        content.append(Text(f"Outputs are those of predict, with {' and '.join(applied)}."))
    if broken:
        content.append(Text(f"{BROKEN_MARK}: {broken:,} {BROKEN_NOTE}."))
    content.append(_table("This network and its baselines", columns, compared, "figures lead"))
    if evaluation.levels:
        columns.append("input_psnr")
        content.append(_table("This network at each level of the damage", columns, evaluation.groups or evaluation.levels))
    if evaluation.kinds:
        kinds = {f"{kind.replace('_', ' ')}, {scores['num_images']:,} pictures": scores for kind, scores in evaluation.kinds.items()}
        content.append(_table("This network on the pictures with each kind of damage", columns, kinds))
    meanings = {FIGURES[name].heading: FIGURES[name].meaning for name in columns}
    if "accuracy" in columns:
        meanings[FIGURES["accuracy"].heading] += (
            f" Predicting the most frequent class for every picture gives {_most_frequent(dataset, num_images):.1f} %."
        )
    note = Text("One run with one seed; results vary slightly between seeds.", "note")
    return Section("Figures", [*content, Terms(meanings), note])


def _table(caption: str, columns: Sequence[str], rows: Mapping[str, Scores], style: str = "figures") -> Table:
    """A row of figures for each name, formatted as by `pellucid evaluate`."""
    cells = [[name, *(figure_text(scores, column, "–") for column in columns)] for name, scores in rows.items()]
    return Table(caption, ["", *(FIGURES[column].heading for column in columns)], cells, style)


def _damage(name: str) -> str:
    """A description of the damage of a track."""
    track = TRACKS[name]
    pipeline = track.levels[0].pipeline
    if name == PAIRS:
        return "real damage, of the damaged versions in the data set"
    if track.groups:
        return f"{', '.join(group.replace('_', ' ') for group in track.groups)}, each picture at every severity from 1 to 5"
    if len(track.levels) > 1:
        levels = ", ".join(level.name for level in track.levels)
        return f"{pipeline.kinds[0].replace('_', ' ')} at {levels}, each picture at every level"
    if isinstance(pipeline, Mixture):
        return "suite " + " or ".join(f"'{suite}' (weight {weight:g})" for suite, weight in pipeline.weights.items())
    most = "" if pipeline.at_most is None else f"at most {pipeline.at_most} of: "
    return most + ", then ".join(map(_step, pipeline.steps)) or "no damage"


def _step(step: Step) -> str:
    strength = f"{step.low:g}" if step.high is None else f"{step.low:g} to {step.high:g}"
    unit = step.degradation.unit.replace("in pixels", "as a part of the shorter side") if step.relative else step.degradation.unit
    chance = "" if step.probability == 1 else f", probability {step.probability:g}"
    return f"{step.name.replace('_', ' ')} of {strength} ({unit}{chance})"


def _most_frequent(dataset: Dataset, num_images: int) -> float:
    """The accuracy in % of always predicting the most frequent class."""
    labels = dataset.labels[:num_images]
    counts = np.bincount(labels[labels != UNLABELLED])
    return float(100 * counts.max() / counts.sum())
