"""The work behind `pellucid predict`: picture files and folders -> restored pictures, masks of lost pixels, a line of JSON for each,
and a contact sheet.

Pictures stream through in chunks, so that memory doesn't grow with their number.
"""

import errno
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pellucid import files, pictures
from pellucid.errors import UserError
from pellucid.inference import sheet
from pellucid.inference.inputs import inputs
from pellucid.inference.predictor import Predictor
from pellucid.inference.stream import Failure, Predicted, stream

RESTORED, MASKS, PREDICTIONS, SHEET = "restored", "masks", "predictions.jsonl", "contact-sheet.png"


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
    resume: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Summary:
    """Restore and classify the pictures in files and folders.

    Writes `restored/`, named by `inputs`; `masks/`, under the same names, for pictures in which lost pixels were found, these white;
    `predictions.jsonl`, a line for each picture as soon as it is done; and `contact-sheet.png`. A line has path, label, confidence,
    probabilities, restored and mask (files relative to `out`), model and mirror, damage (by kind: probability, strength and its unit) and
    lost (the part of the picture whose pixels are lost), null where the model has no such task, or path and error. A picture that can't be
    read, is too large for the memory, or gets an output that is not finite is such an error and stops nothing; a full disk stops all.

    Args:
        paths: files, and folders that are searched through.
        out: folder for the results.
        model: as `load_model` takes it; the bundled model by default.
        device: a name of torch's, or `auto`.
        force: write into a folder that holds files already; those with other names stay as they are.
        progress: is told after each picture how many are done, and how many there are.
        mirror: average over each picture and its mirror image, for twice the time.
        resume: keep what a stopped call with the same folder has done, and do the rest; pictures that failed are tried again.
        tell: is told each picture's prediction in a line of words.
    """
    goes_on = resume and (out / PREDICTIONS).exists()
    if out.exists() and any(files.folder(out).iterdir()) and not (force or goes_on):
        raise UserError(
            f"Expected a new or an empty folder for the results, found files in {out}; choose another, --force this one, or go on by "
            "--resume."
        )
    made = [out / RESTORED, out / MASKS, out / SHEET]
    asked = list(inputs(paths, made))
    if not asked:
        raise UserError(f"Expected pictures, found only the results of an earlier run in {out}; choose another folder to read from.")
    source = {"model": "bundled" if model is None else str(model), "mirror": mirror}
    paths_asked = {str(path) for path, _ in asked}
    kept = [line for line in _done(out / PREDICTIONS, source) if line["path"] in paths_asked] if goes_on else []
    known = {line["path"] for line in kept}
    waiting, total = [(path, target) for path, target in asked if str(path) not in known], len(asked)
    predictor = Predictor.load(model, device, mirror=mirror)
    with files.atomic_write(out / PREDICTIONS) as aside:
        aside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    shown: list[dict[str, Any]] = []
    done = num_failed = 0
    with (out / PREDICTIONS).open("a", encoding="utf-8", buffering=1) as file:
        for line in chain(kept, _predicted(waiting, predictor, out)):
            if done >= len(kept):
                file.write(json.dumps(line | source) + "\n")
                if tell is not None:
                    tell(_words(line))
            if "error" in line:
                num_failed += 1
            elif len(shown) < sheet.MOST and len(shown) * total <= done * sheet.MOST:  # from all over: neighbours tend to be alike
                shown.append(line)
            done += 1
            if progress is not None:
                progress(done, total)
    heading = (f"{len(shown)} of " if len(shown) < done else "") + _pictures(done)
    cells = []
    for line in shown:
        with suppress(UserError):  # a picture that was moved since it was predicted
            cells.append(_cell(line, out))
    pictures.write(out / SHEET, sheet.draw(cells, heading))
    return Summary(out, done, num_failed)


def _predicted(waiting: Sequence[tuple[Path, PurePosixPath]], predictor: Predictor, out: Path) -> Iterator[dict[str, Any]]:
    """The lines of pictures that are not done, their files written."""
    for predicted in stream(waiting, predictor):
        yield _save(predicted, out)


def _done(path: Path, source: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of an earlier call that went well; the last one may have been cut off. Raises `UserError` for those of another model."""
    lines: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    for earlier in lines:
        if other := {name: earlier.get(name) for name in source if earlier.get(name) != source[name]}:
            raise UserError(f"Expected to go on with the model of {path} ({other}), found {source}; choose that one, or another folder.")
    return [line for line in lines if "error" not in line]


def _save(predicted: Predicted | Failure, out: Path) -> dict[str, Any]:
    """Write the restored picture and the mask of its lost pixels, if there are any; returns the line of `predictions.jsonl`."""
    path = str(predicted.path)
    if isinstance(predicted, Failure):
        return {"path": path, "error": str(predicted.error)}
    said, restored, mask_file = predicted.prediction, None, None
    if said.broken:
        return {
            "path": path,
            "error": "Expected finite outputs of the model, found others; its training may have diverged: train it again.",
        }
    try:
        if said.restored is not None:
            restored = f"{RESTORED}/{predicted.target}"
            pictures.write(out / restored, said.restored)
        if said.mask is not None and said.mask.any():
            mask_file = f"{MASKS}/{predicted.target}"
            pictures.write(out / mask_file, np.uint8(255) * said.mask[:, :, None].repeat(3, axis=2))
    except UserError as error:  # such as a name too long for the file system: the others may still go well
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return {"path": path, "error": str(error)}
    return {
        "path": path,
        "label": said.label,
        "confidence": said.confidence and round(said.confidence, 6),
        "probabilities": said.probabilities and {name: round(probability, 6) for name, probability in said.probabilities.items()},
        "restored": restored,
        "damage": said.damage
        and {
            kind: {"probability": round(found["probability"], 6), "strength": round(found["strength"], 6), "unit": found["unit"]}
            for kind, found in said.damage.items()
        },
        "lost": None if said.mask is None else round(float(said.mask.mean()), 6),
        "mask": mask_file,
    }


def _words(line: dict[str, Any]) -> str:
    """A line of `predictions.jsonl` for people: `x.png: cat 93 %, gaussian noise 0.05, 6 % lost -> restored/x.png`."""
    if "error" in line:
        return f"{line['path']}: {line['error']}"
    parts = [f"{line['label']} {100 * line['confidence']:.0f} %"] if line["label"] is not None else []
    if damage := sheet.damage(line["damage"], line["lost"]):
        parts.append(damage)
    told = [", ".join(parts)] if parts else []
    return f"{line['path']}: " + " -> ".join(told + ([line["restored"]] if line["restored"] else []))


def _cell(line: dict[str, Any], out: Path) -> sheet.Cell:
    """A line of `predictions.jsonl` on the contact sheet."""
    caption = "" if line["confidence"] is None else f"{line['label']}  {100 * line['confidence']:.0f} %"
    paths = [Path(line["path"])] + ([out / line["restored"]] if line["restored"] else [])
    return sheet.cell(Path(line["path"]).name, caption, sheet.damage(line["damage"], line["lost"]), [pictures.read(path) for path in paths])


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"
