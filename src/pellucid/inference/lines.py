"""Lines of `predictions.jsonl`: the predictions for pictures, frames and videos, as JSON and as text."""

import errno
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pellucid import pictures
from pellucid.errors import UserError
from pellucid.inference import schema, sheet
from pellucid.inference.inputs import mask_target
from pellucid.inference.maps import draw_map, draw_mask, uncertainty_map
from pellucid.inference.prediction import Prediction
from pellucid.inference.stream import Failure, Predicted
from pellucid.pictures import Picture

RESTORED, MASKS, UNCERTAINTY = "restored", "masks", "uncertainty"

COUNTED = {
    "left": "found undamaged and left",
    "abstained": "without a sure class",
    "alarm": "with an alarm",
    "unfamiliar": "unlike the training pictures",
}
"""Fields of a line that are counted over the frames of a video, and the text of the count."""

NOT_FINITE = "Expected finite outputs of the model, found others; its training may have diverged: train it again."

Line = dict[str, Any]


def save(predicted: Predicted | Failure, out: Path, uncertainty: bool = False) -> Line:
    """Write the restored picture, the mask of lost pixels, if there are any, and optionally the uncertainty map.

    Returns the line of `predictions.jsonl`.
    """
    if isinstance(predicted, Failure):
        return error_line(predicted.path, predicted.code, str(predicted.error))
    path, target, picture, prediction = predicted
    if prediction.broken:
        return error_line(path, "not_finite", NOT_FINITE)
    restored = mask = uncertain = None
    try:
        if prediction.restored is not None:
            restored = f"{RESTORED}/{target}"
            pictures.write(out / restored, replace(picture, pixels=prediction.restored))
        if prediction.mask is not None and prediction.mask.any():
            mask = f"{MASKS}/{mask_target(target)}"
            pictures.write(out / mask, Picture(draw_mask(prediction.mask), grey=True))
        if uncertainty and prediction.restored is not None:
            uncertain = f"{UNCERTAINTY}/{mask_target(target)}"
            pictures.write(out / uncertain, Picture(draw_map(uncertainty_map(picture.pixels, prediction.restored)), grey=True))
    except UserError as error:  # such as a name too long for the file system; other pictures may succeed
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return error_line(path, "unwritable", str(error))
    written = {"restored": restored, "mask": mask} | ({"uncertainty": uncertain} if uncertainty else {})
    return {"path": str(path), **prediction_fields(prediction), **written, "notes": list(picture.notes)}


def error_line(path: Path, code: str, message: str) -> Line:
    """The line of a file without a prediction; code: a key of `schema.ERRORS`; message: a sentence."""
    return {"path": str(path), **schema.error(code, message)}


def prediction_fields(prediction: Prediction) -> Line:
    """The fields of a line from the prediction."""
    probabilities, damage, mask = prediction.probabilities, prediction.damage, prediction.mask
    optional: Line = {"abstained": True} if prediction.abstained else {}
    if prediction.alarm is not None:
        optional |= {"restored_label": prediction.restored_label, "alarm": prediction.alarm}
    if prediction.unfamiliar is not None:
        optional |= {"unfamiliar": prediction.unfamiliar}
    line: Line = {
        "schema": schema.VERSION,
        "label": prediction.label,
        "confidence": prediction.confidence and round(prediction.confidence, 6),
        "probabilities": probabilities and {name: round(probability, 6) for name, probability in probabilities.items()},
        "damage": damage
        and {
            kind: {"probability": round(each["probability"], 6), "strength": round(each["strength"], 6), "unit": each["unit"]}
            for kind, each in damage.items()
        },
        "lost": None if mask is None else round(float(mask.mean()), 6),
        "left": prediction.left,
    }
    return line | optional


def line_text(line: Line) -> str:
    """A line as text: `x.png: cat 93 %, gaussian noise 0.05, 6 % lost -> restored/x.png (first of 3 pages)`."""
    if "error" in line:
        return f"{line['path']}: {line['error']['message']}"
    if "frames" in line:
        parts = [f"{line['frames']:,} frames at {line['fps']:g} a second", *count_texts(line["counts"])]
    else:
        parts = [*filter(None, (class_text(line), damage_text(line)))]
        if line.get("alarm"):
            parts.append(f"ALARM: {line['restored_label']} once restored")
    results = [", ".join(parts)] if parts else []
    notes = f" ({'; '.join(line['notes'])})" if line["notes"] else ""
    return f"{line['path']}: " + " -> ".join(results + ([line["restored"]] if line["restored"] else [])) + notes


def count_texts(counts: Mapping[str, int]) -> list[str]:
    """The counts of the fields in `COUNTED` as text, without those that are 0."""
    return [f"{counts[name]:,} {what}" for name, what in COUNTED.items() if counts.get(name)]


def class_text(line: Line) -> str:
    """The class and its confidence, and a warning of unfamiliar pictures; `not sure (cat 41 %)` if the model abstains."""
    if line["probabilities"] is None:
        return ""
    likeliest = max(line["probabilities"], key=line["probabilities"].__getitem__)
    text = f"{likeliest} {100 * line['confidence']:.0f} %"
    text = f"not sure ({text})" if line.get("abstained") else text
    return f"{text}, unlike the training pictures" if line.get("unfamiliar") else text


def damage_text(line: Line) -> str:
    """The estimated damage, or that the picture was left unchanged."""
    return "found undamaged and left" if line.get("left") else sheet.damage_words(line["damage"], line["lost"])


def sheet_cell(line: Line, out: Path) -> sheet.Cell:
    """The cell of a picture on the contact sheet."""
    caption = class_text(line) + (f", restored: {line['restored_label']}" if line.get("alarm") else "")
    paths = [Path(line["path"])] + ([out / line["restored"]] if line["restored"] else [])
    return sheet.build_cell(Path(line["path"]).name, caption, damage_text(line), map(pictures.read, paths))
