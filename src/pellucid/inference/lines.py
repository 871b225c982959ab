"""A line of `predictions.jsonl`: what is said of a picture, a frame or a video, its files written."""

import errno
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import pictures
from pellucid.errors import UserError
from pellucid.inference import schema, sheet
from pellucid.inference.inputs import mask_target
from pellucid.inference.maps import drawn, uncertainty_map
from pellucid.inference.prediction import Prediction
from pellucid.inference.stream import Failure, Predicted
from pellucid.pictures import Picture

RESTORED, MASKS, UNCERTAINTY = "restored", "masks", "uncertainty"

COUNTED = {"left": "found undamaged and left", "abstained": "without a sure class", "alarm": "with an alarm"}
"""Fields of a line that are counted, over pictures or the frames of a video, and what their numbers are called."""

NOT_FINITE = "Expected finite outputs of the model, found others; its training may have diverged: train it again."

Line = dict[str, Any]


def save(predicted: Predicted | Failure, out: Path, uncertainty: bool = False) -> Line:
    """Write the restored picture, the mask of its lost pixels, if there are any, and its uncertainty, if that is asked for.

    Returns the line of `predictions.jsonl`.
    """
    if isinstance(predicted, Failure):
        return failure(predicted.path, predicted.code, str(predicted.error))
    path, target, picture, prediction = predicted
    if prediction.broken:
        return failure(path, "not_finite", NOT_FINITE)
    restored = mask = uncertain = None
    try:
        if prediction.restored is not None:
            restored = f"{RESTORED}/{target}"
            pictures.write(out / restored, replace(picture, pixels=prediction.restored))
        if prediction.mask is not None and prediction.mask.any():
            mask = f"{MASKS}/{mask_target(target)}"
            white = np.uint8(255) * prediction.mask[:, :, None].repeat(3, axis=2)
            pictures.write(out / mask, Picture(white, grey=True))
        if uncertainty and prediction.restored is not None:
            uncertain = f"{UNCERTAINTY}/{mask_target(target)}"
            pictures.write(out / uncertain, Picture(drawn(uncertainty_map(picture.pixels, prediction.restored)), grey=True))
    except UserError as error:  # such as a name too long for the file system: the others may still go well
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return failure(path, "unwritable", str(error))
    written = {"restored": restored, "mask": mask} | ({"uncertainty": uncertain} if uncertainty else {})
    return {"path": str(path), **describe(prediction), **written, "notes": list(picture.notes)}


def failure(path: Path, code: str, message: str) -> Line:
    """The line of a file without a prediction; code: of `schema.ERRORS`; message: a sentence."""
    return {"path": str(path), **schema.error(code, message)}


def describe(prediction: Prediction) -> Line:
    """The part of a line that the model says."""
    probabilities, damage, mask = prediction.probabilities, prediction.damage, prediction.mask
    asked: Line = {"abstained": True} if prediction.abstained else {}
    if prediction.alarm is not None:
        asked |= {"restored_label": prediction.restored_label, "alarm": prediction.alarm}
    line: Line = {
        "schema": schema.VERSION,
        "label": prediction.label,
        "confidence": prediction.confidence and round(prediction.confidence, 6),
        "probabilities": probabilities and {name: round(probability, 6) for name, probability in probabilities.items()},
        "damage": damage
        and {
            kind: {"probability": round(found["probability"], 6), "strength": round(found["strength"], 6), "unit": found["unit"]}
            for kind, found in damage.items()
        },
        "lost": None if mask is None else round(float(mask.mean()), 6),
        "left": prediction.left,
    }
    return line | asked


def words(line: Line) -> str:
    """A line for people: `x.png: cat 93 %, gaussian noise 0.05, 6 % lost -> restored/x.png (first of 3 pages)`."""
    if "error" in line:
        return f"{line['path']}: {line['error']['message']}"
    if "frames" in line:
        parts = [f"{line['frames']:,} frames at {line['fps']:g} a second", *counted(line["counts"])]
    else:
        parts = [*filter(None, (named(line), damage(line)))]
        if line.get("alarm"):
            parts.append(f"ALARM: {line['restored_label']} once restored")
    told = [", ".join(parts)] if parts else []
    notes = f" ({'; '.join(line['notes'])})" if line["notes"] else ""
    return f"{line['path']}: " + " -> ".join(told + ([line["restored"]] if line["restored"] else [])) + notes


def counted(counts: Mapping[str, int]) -> list[str]:
    """Numbers of pictures or frames by the names in `COUNTED`, in words; those of none are left out."""
    return [f"{counts[name]:,} {what}" for name, what in COUNTED.items() if counts[name]]


def named(line: Line) -> str:
    """The class and its confidence; `not sure (cat 41 %)` where the model abstains."""
    if line["probabilities"] is None:
        return ""
    likeliest = max(line["probabilities"], key=line["probabilities"].__getitem__)
    said = f"{likeliest} {100 * line['confidence']:.0f} %"
    return f"not sure ({said})" if line.get("abstained") else said


def damage(line: Line) -> str:
    """What was done to the picture, in short; that it was left as it is, if it was."""
    return "found undamaged and left" if line.get("left") else sheet.damage(line["damage"], line["lost"])


def cell(line: Line, out: Path) -> sheet.Cell:
    """The line of a picture on the contact sheet."""
    caption = named(line) + (f", restored: {line['restored_label']}" if line.get("alarm") else "")
    paths = [Path(line["path"])] + ([out / line["restored"]] if line["restored"] else [])
    return sheet.cell(Path(line["path"]).name, caption, damage(line), [pictures.read(path) for path in paths])
