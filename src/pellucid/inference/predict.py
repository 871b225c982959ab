"""The work behind `pellucid predict`: picture files and folders -> restored pictures, masks of holes, a line of JSON for each,
and a contact sheet.

Pictures stream through in chunks, so that memory doesn't grow with their number.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import files, pictures
from pellucid.errors import UserError
from pellucid.inference import sheet
from pellucid.inference.inputs import inputs
from pellucid.inference.predictor import Predictor
from pellucid.inference.stream import Answer, Failure, stream

RESTORED, HOLES, PREDICTIONS, SHEET = "restored", "holes", "predictions.jsonl", "contact-sheet.png"


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of the pictures: how many there were, and how many of them failed; `str` says it in a sentence."""

    out: Path
    num_pictures: int
    num_failed: int

    def __str__(self) -> str:
        good, errors = self.num_pictures - self.num_failed, f"{self.out / PREDICTIONS} says why"
        if not good:
            return f"None of {_pictures(self.num_pictures)} could be used: {errors}."
        failed = f" {self.num_failed:,} of {_pictures(self.num_pictures)} failed: {errors}." if self.num_failed else ""
        return f"{_pictures(good)} went well: look at {self.out / SHEET}.{failed}"


def predict_files(
    paths: Sequence[Path],
    out: Path,
    model: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    mirror: bool = False,
) -> Summary:
    """Restore and classify the pictures in files and folders.

    Writes `restored/`, named by `inputs`; `holes/`, under the same names, for pictures in which a hole was found, its pixels white;
    `predictions.jsonl`, a line for each picture in their order; and `contact-sheet.png`. A line has path, label, confidence, probabilities,
    restored and hole_mask (files relative to `out`), damage (by kind: probability, and strength in the unit of that degradation) and hole
    (the part of the picture that it covers), null where the model has no such task, or path and error. A picture that can't be read, or is
    too large to go through the network whole, is such an error and stops nothing.

    Args:
        paths: files, and folders that are searched through.
        out: folder for the results.
        model: as `load_model` takes it; the bundled model by default.
        device: a name of torch's, or `auto`.
        force: write into a folder that holds files already; those with other names stay as they are.
        progress: is told after each picture how many are done, and how many there are.
        mirror: average over each picture and its mirror image, for twice the time.
    """
    if out.exists() and any(files.folder(out).iterdir()) and not force:
        raise UserError(f"Expected a new or an empty folder for the results, found files in {out}; choose another, or --force this one.")
    made = [out / RESTORED, out / HOLES, out / SHEET]
    total = sum(1 for _ in inputs(paths, made))
    if not total:
        raise UserError(f"Expected pictures, found only the results of an earlier run in {out}; choose another folder to read from.")
    predictor = Predictor.load(model, device, mirror=mirror)
    cells: list[sheet.Cell] = []
    done = num_failed = 0
    with files.write_aside(out / PREDICTIONS) as aside, aside.open("w", encoding="utf-8") as lines:
        for answer in stream(inputs(paths, made), predictor):
            line = _save(answer, out)
            lines.write(json.dumps(line) + "\n")
            if isinstance(answer, Failure) or "error" in line:
                num_failed += 1
            elif len(cells) < sheet.MOST and len(cells) * total <= done * sheet.MOST:  # from all over: neighbours tend to be alike
                cells.append(sheet.cell(answer.path.name, answer.picture, answer.prediction))
            done += 1
            if progress is not None:
                progress(done, total)
    pictures.write(out / SHEET, sheet.draw(cells, (f"{len(cells)} of " if len(cells) < done else "") + _pictures(done)))
    return Summary(out, done, num_failed)


def _save(answer: Answer | Failure, out: Path) -> dict[str, Any]:
    """Write the restored picture and the mask of its hole, if there are any; returns what `predictions.jsonl` says of the picture."""
    path = str(answer.path)
    if isinstance(answer, Failure):
        return {"path": path, "error": str(answer.error)}
    said, restored, hole_mask = answer.prediction, None, None
    try:
        if said.restored is not None:
            restored = f"{RESTORED}/{answer.place}"
            pictures.write(out / restored, said.restored)
        if said.hole is not None and said.hole.any():
            hole_mask = f"{HOLES}/{answer.place}"
            pictures.write(out / hole_mask, np.uint8(255) * said.hole[:, :, None].repeat(3, axis=2))
    except UserError as error:  # such as a name too long for the file system: the others may still go well
        return {"path": path, "error": str(error)}
    return {
        "path": path,
        "label": said.label,
        "confidence": said.confidence and round(said.confidence, 6),
        "probabilities": said.probabilities and {name: round(probability, 6) for name, probability in said.probabilities.items()},
        "restored": restored,
        "damage": said.damage
        and {
            kind: {"probability": round(found["probability"], 6), "strength": round(found["strength"], 6)}
            for kind, found in said.damage.items()
        },
        "hole": None if said.hole is None else round(float(said.hole.mean()), 6),
        "hole_mask": hole_mask,
    }


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"
