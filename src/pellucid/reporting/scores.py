"""What a run came to: one sentence, and the tables behind it."""

from collections.abc import Mapping, Sequence

import numpy as np

from pellucid.checkpoint import Description
from pellucid.data import Dataset
from pellucid.degradations import Mixture
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import COLUMNS, Evaluation
from pellucid.labels import UNLABELLED
from pellucid.metrics import IDENTICAL, Scores
from pellucid.reporting.page import Html, html, paragraph, section, table, terms

MEANINGS = {
    "accuracy": "The part of the pictures whose class is named right.",
    "psnr": "How near a picture is to the clean one, pixel by pixel: 3 dB more is half the squared error, 100 dB is identical.",
    "ssim": "How alike the structures of a picture and of the clean one are; 1 is identical.",
    "hole_psnr": "PSNR over the destroyed pixels alone, whose content has to be guessed.",
    "ece": "Expected calibration error: how far the stated confidence is from the part that is right; 0 can be trusted, 1 never.",
    "damage_correct": "The part of the pictures for which it is named right what was done to them, each kind of damage counted.",
    "strength_error": "How far the estimated strength of a damage is off, as a part of the true one.",
    "hole_iou": "The pixels rightly said to be destroyed, over all that are destroyed or said to be; 1 is the very hole.",
    "input_psnr": "PSNR of the damaged picture itself.",
}
"""What the columns of the table say, in the order in which they stand."""

NOTES = {
    "damaged image": "left as it is",
    "non-local means": "no training; told the true noise",
    "inpainting": "no training; told the true hole",
    "inpainting, then means": "no training; told both",
}
"""What is said of the rows of `evaluation.classical.CLASSICAL`."""


def result(evaluation: Evaluation, references: Mapping[str, Evaluation] | None = None) -> Html:
    """The sentence that says it all, and a second one where a method without training restores better."""
    accuracy, psnr, before = (evaluation.metrics[name] for name in ("accuracy", "psnr", "input_psnr"))
    damaged = before is not None and before < IDENTICAL
    pictures = f"{'damaged' if damaged else 'undamaged'} {evaluation.split} pictures"
    said = []
    if accuracy is not None:
        share = html('<strong class="naming">{share} %</strong>', share=f"{accuracy:.1f}")
        said.append(html("names the class of {share} of {pictures}", share=share, pictures=pictures))
        pictures = "them"
    if psnr is not None:
        after = html('<strong class="restoring">{psnr} dB</strong>', psnr=f"{psnr:.1f}")
        if before is None or not damaged:
            way = f"gives {pictures} back at"
        else:
            way = f"{'restores' if psnr > before else 'worsens'} {pictures} from {before:.1f} to"
        said.append(html("{way} {after}", way=way, after=after))
    if not said:
        return html("The {split} pictures have no labels to measure this network by.", split=evaluation.split)
    sentence = html("This network {said}.", said=Html(" and ".join(said)))
    warning = shortfall(evaluation, references or {})
    return html("{sentence} {warning}", sentence=sentence, warning=warning) if warning else sentence


def shortfall(evaluation: Evaluation, references: Mapping[str, Evaluation]) -> str:
    """What is to be said where a method without training restores better than the network; empty where none does."""
    psnr = evaluation.metrics["psnr"]
    better = {
        name: figure for name, other in references.items() if (figure := other.metrics["psnr"]) and psnr is not None and figure > psnr
    }
    if not better:
        return ""
    best = max(better, key=better.__getitem__)
    return f"OpenCV restores them better without any training ({best}: {better[best]:.1f} dB): this network has not trained long enough."


def figures(description: Description, dataset: Dataset, evaluation: Evaluation, references: Mapping[str, Evaluation]) -> Html:
    """The section of the tables: the network and what it must beat, each level of the damage, and what the columns mean."""
    num_images = evaluation.num_images
    rows: dict[str, tuple[str, Scores]] = {
        "this network": (f"{description.model.arm}, {description.model.encoder}", evaluation.metrics),
        "damaged image": (NOTES["damaged image"], {"psnr": evaluation.metrics["input_psnr"]}),
    }
    for name, reference in references.items():
        fewer = f"first {reference.num_images:,} pictures only" if reference.num_images < num_images else ""
        if not (fewer and name in rows):  # what is there already is of all pictures
            rows[name] = "; ".join(filter(None, (NOTES.get(name), fewer))), reference.metrics
    columns = [name for name in MEANINGS if name != "input_psnr" and evaluation.metrics[name] is not None]
    compared: dict[str, Scores] = {
        html("{name}<small>{note}</small>", name=name, note=note): scores
        for name, (note, scores) in rows.items()
        if any(scores.get(column) is not None for column in columns)
    }
    part = "all" if num_images == len(dataset) else "the first"
    broken = evaluation.metrics["broken"]
    content = [
        paragraph(f"Measured on {part} {evaluation.images}, track “{evaluation.track}”: {_damage(evaluation.track)}."),
        paragraph(f"{broken:,} outputs are not finite: they count as named wrong, and in no other figure.") if broken else Html(),
        _table("This network, and what it must beat", columns, compared, kind="figures lead"),
    ]
    if evaluation.levels:
        columns.append("input_psnr")
        content.append(_table("This network at each level of the damage", columns, evaluation.levels))
    if evaluation.kinds:
        kinds = {f"{kind.replace('_', ' ')}, {scores['num_images']:,} pictures": scores for kind, scores in evaluation.kinds.items()}
        content.append(_table("This network on the pictures with each kind of damage", columns, kinds))
    meanings = {COLUMNS[name][0]: MEANINGS[name] for name in columns}
    if "accuracy" in columns:
        meanings[COLUMNS["accuracy"][0]] += f" Always naming the most frequent class would get {_most_frequent(dataset, num_images):.1f} %."
    note = paragraph("This is one run with one seed; another seed comes out a little different.", "note")
    return section("The figures", *content, terms(meanings), note)


def _table(caption: str, columns: Sequence[str], rows: Mapping[str, Scores], kind: str = "figures") -> Html:
    """A row of figures for every name, to as many digits as `pellucid evaluate` prints."""
    cells = ([name, *(_cell(scores.get(column), COLUMNS[column][1]) for column in columns)] for name, scores in rows.items())
    return table(caption, ["", *(COLUMNS[column][0] for column in columns)], cells, kind)


def _cell(figure: float | None, spec: str) -> str:
    return "–" if figure is None else format(figure, spec)


def _damage(name: str) -> str:
    """The damage of a track in words."""
    track = TRACKS[name]
    pipeline = track.levels[0].pipeline
    if len(track.levels) > 1:
        levels = ", ".join(level.name for level in track.levels)
        return f"{pipeline.kinds[0].replace('_', ' ')} at {levels}, each picture at every level"
    if isinstance(pipeline, Mixture):
        return "suite " + " or ".join(f"'{suite}' (weight {weight:g})" for suite, weight in pipeline.weights.items())
    steps = pipeline.steps
    return ", then ".join(f"{step.name.replace('_', ' ')} of {step.low:g} ({step.degradation.unit})" for step in steps) or "no damage"


def _most_frequent(dataset: Dataset, num_images: int) -> float:
    """The accuracy in % of one who knows how frequent the classes are, and sees no picture."""
    labels = dataset.labels[:num_images]
    counts = np.bincount(labels[labels != UNLABELLED])
    return float(100 * counts.max() / counts.sum())
