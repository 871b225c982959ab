"""`pellucid predict`: picture and video files and folders -> restored pictures and videos, masks of lost pixels, a line of JSON for each,
and a contact sheet.

Pictures stream through, so that memory doesn't grow with their number.
"""

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path, PurePosixPath

from pellucid import files, pictures
from pellucid.errors import UserError
from pellucid.inference import journal, sheet
from pellucid.inference.distributed import join_processes
from pellucid.inference.inputs import inputs
from pellucid.inference.journal import PREDICTIONS
from pellucid.inference.lines import COUNTED, MASKS, RESTORED, UNCERTAINTY, Line, count_texts, line_text, save, sheet_cell
from pellucid.inference.predictor import Predictor
from pellucid.inference.source import is_exported
from pellucid.inference.stream import stream
from pellucid.inference.video import restore_video
from pellucid.pictures import VIDEOS

SHEET = "contact-sheet.png"


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a call: numbers of pictures, including videos, and of failures; `str` is a sentence.

    labels: note on the labels; empty without labels; stated: engine and precision, as text; counts: numbers of pictures of this call with
    each of `lines.COUNTED`.
    """

    out: Path
    num_pictures: int
    num_failed: int
    labels: str = ""
    stated: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        good, errors = self.num_pictures - self.num_failed, f"{self.out / PREDICTIONS} says why"
        if not good:
            return f"None of {_pictures(self.num_pictures)} could be used: {errors}."
        failed = f" {self.num_failed:,} of {_pictures(self.num_pictures)} failed: {errors}." if self.num_failed else ""
        more = "".join(f"\n{each}" for each in (self.stated and f"Computed by {self.stated}.", self.labels) if each)
        counted = ", ".join(count_texts(self.counts))
        return f"{_pictures(good)} went well{f' ({counted})' if counted else ''}: look at {self.out / SHEET}.{failed}{more}"


def predict_files(
    paths: Sequence[Path],
    out: Path,
    model: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    mirror: bool = False,
    resume: bool = False,
    log: Callable[[str], None] | None = None,
    *,
    abstain_below: float = 0.0,
    second_look: bool = False,
    uncertainty: bool = False,
    gate: bool = True,
) -> Summary:
    """Restore and classify the pictures and videos in files and folders.

    Writes `restored/`, named by `inputs`; `masks/`, under the same names, for pictures in which lost pixels were found, these white;
    `predictions.jsonl`, a line for each picture as soon as it is done, in the order of the inputs; and `contact-sheet.png`. A line has the
    version of its `schema`, path, label, confidence, probabilities, restored and mask (files relative to `out`), notes, model and mirror,
    damage (by kind: probability, strength and its unit) and lost (the part of the picture whose pixels are lost), null where the model has
    no such task, or path and error (code and message). A video has a line for each frame, with its number, and then one with frames, fps,
    counts, restored and notes. A file that can't be read, is too large for the memory, or gets an output that is not finite is an error
    and stops nothing; a full disk stops all.

    Processes that `torchrun` starts share the work, each picture once; they write their lines to `predictions-RANK.jsonl`, which the first
    one merges in the end. `out` must be the same folder for all. The first one holds a lock on it, so that another call with this folder
    is a `UserError`.

    Args:
        paths: files, and folders that are searched through.
        out: folder for the results.
        model: as `load_model` takes it; the bundled model by default.
        device: a name of torch's, or `auto`.
        force: write into a folder that holds files already; those with other names stay as they are.
        progress: called after each picture with the number done and the total; of several processes, each estimates it from its own.
        mirror: average over each picture and its mirror image, for twice the time.
        resume: continue an interrupted call with the same folder; failed pictures are tried again.
        log: called with the prediction for each picture, as a line of text.
        abstain_below: minimum confidence for a label; lines of pictures without one have `abstained`.
        second_look: also classify the restored picture; lines have `restored_label`, and `alarm` if it differs.
        uncertainty: write maps of the estimated error of each pixel, or videos of them, into `uncertainty/`; 10 % of the range and more
            is white.
        gate: leave undamaged pictures unchanged, if the model has a gate; their lines have `left`.
    """
    options = {"abstain_below": abstain_below, "second_look": second_look, "uncertainty_maps": uncertainty, "no_gate": not gate}
    source = {
        "model": "bundled" if model is None else str(model),
        "mirror": mirror,
        **{name: each or None for name, each in options.items()},
    }
    made = [out / RESTORED, out / MASKS, out / UNCERTAINTY, out / SHEET]
    with join_processes() as processes, ExitStack() as stack:
        processes.first_does(lambda: stack.enter_context(files.locked(out, keep=False)))  # for all, since they share the folder
        processes.first_does(lambda: _check_folder(out, force, resume))
        total = sum(1 for _ in inputs(paths, made))
        if not total:
            raise UserError(f"Expected pictures, found only the results of an earlier run in {out}; choose another folder to read from.")
        predictor = Predictor.load(
            model,
            device if is_exported(model) else processes.device(device),
            mirror=mirror,
            abstain_below=abstain_below,
            second_look=second_look,
            gate=gate,
        )
        processes.first_does(lambda: journal.begin(out, source, resume and journal.exists(out)))
        done_before = {line["path"]: line.get("restored") for line in journal.read_lines(out / PREDICTIONS)} if resume else {}
        processes.first_does(lambda: None)  # all processes have read it before lines are added
        missing = (each for each in inputs(paths, made) if str(each[0]) not in done_before)
        waiting = islice(missing, processes.rank, None, processes.num)  # every n-th, since neighbours tend to have the same size
        num_kept = _count_kept(inputs(paths, made), done_before) if resume else 0
        tally = _Tally(-(-total // processes.num), journal.read_lines(out / PREDICTIONS))
        options_in_lines = {name: each for name, each in source.items() if each is not None}
        lines = stack.enter_context(closing(_predicted(waiting, predictor, out, uncertainty)))  # at rest before the lock is released
        with journal.part(out, processes.rank, processes.num).open("a", encoding="utf-8", buffering=1) as file:
            for line in lines:
                file.write(json.dumps(line | options_in_lines) + "\n")
                if not tally.add(line):
                    continue
                if log is not None:
                    log(line_text(line))
                if progress is not None:
                    progress(min(total, num_kept + processes.num * tally.numbers["done"]), total)
        num_done, num_failed, num_labelled, *counts = processes.sums(*tally.numbers.values())
        processes.first_does(lambda: _finish(out, tally.shown, num_kept + num_done))
    about = _about_labels(predictor) if num_labelled else ""
    return Summary(out, num_kept + num_done, num_failed, about, predictor.stated, dict(zip(COUNTED, counts, strict=True)))


def _check_folder(out: Path, force: bool, resume: bool) -> None:
    goes_on = resume and journal.exists(out)
    if any(path.name != files.LOCK for path in out.iterdir()) and not (force or goes_on):
        raise UserError(
            f"Expected a new or an empty folder for the results, found files in {out}; choose another, --force this one, or go on by "
            "--resume."
        )
    if goes_on:
        files.remove_partial(out, below=True)


def _count_kept(listed: Iterable[tuple[Path, PurePosixPath]], done_before: Mapping[str, str | None]) -> int:
    """The number of inputs that an earlier call has done; done_before: their restored pictures, by path.

    Raises `UserError` if the restored picture of an input would replace that of another, since the arguments are others.
    """
    num_kept, sources = 0, {restored: path for path, restored in done_before.items() if restored is not None}
    for path, target in listed:
        if (other := sources.get(f"{RESTORED}/{target}", str(path))) != str(path):
            raise UserError(
                f"Expected the arguments of the call to go on with, found {path}, whose restored picture would replace that of {other}; "
                "give the same ones, or choose another folder."
            )
        num_kept += str(path) in done_before
    return num_kept


def _predicted(
    waiting: Iterable[tuple[Path, PurePosixPath]], predictor: Predictor, out: Path, uncertainty: bool
) -> Generator[Line, None, None]:
    """The lines of all files, in their order, the restored pictures and videos written."""
    for is_video, group in groupby(waiting, key=lambda each: each[0].suffix.lower() in VIDEOS):
        if is_video:
            for path, target in group:
                yield from restore_video(path, target, predictor, out, uncertainty)
        else:
            yield from stream(group, predictor, partial(save, out=out, uncertainty=uncertainty))


class _Tally:
    """Counts the results, and selects pictures for the contact sheet, evenly spaced, since neighbours tend to be similar.

    total: number of lines; earlier: those of an earlier call, which are only selected from.
    """

    def __init__(self, total: int, earlier: Iterable[Line]) -> None:
        self.total, self.seen = total, 0
        self.shown: list[Line] = []
        self.numbers = dict.fromkeys(("done", "failed", "labelled", *COUNTED), 0)
        for line in earlier:
            self._select(line)

    def add(self, line: Line) -> bool:
        """Add a line; whether it is the last one of its input."""
        self.numbers["labelled"] += line.get("confidence") is not None
        if journal.ends(line):
            self.numbers["done"] += 1
            self.numbers["failed"] += "error" in line
            for name in COUNTED:
                self.numbers[name] += bool(line.get(name))
            self._select(line)
        return journal.ends(line)

    def _select(self, line: Line) -> None:
        wanted = len(self.shown) < sheet.MAX_CELLS and len(self.shown) * self.total <= self.seen * sheet.MAX_CELLS
        if wanted and "damage" in line and journal.ends(line):
            self.shown.append(line)
        self.seen += journal.ends(line)


def _finish(out: Path, shown: Sequence[Line], num_pictures: int) -> None:
    """Merge the lines of all processes, and write the contact sheet."""
    journal.finish(out)
    cells = []
    for line in shown:
        with suppress(UserError):  # a picture that was moved since it was predicted
            cells.append(sheet_cell(line, out))
    heading = (f"{len(shown)} of " if len(shown) < num_pictures else "") + _pictures(num_pictures)
    pictures.write(out / SHEET, sheet.draw_sheet(cells, heading))


def _about_labels(predictor: Predictor) -> str:
    """A note on the labels: of some pictures that are unlike its training images a model can tell, of none without `least_evidence`."""
    some = ", ".join(predictor.classes[:5]) + (", ..." if len(predictor.classes) > 5 else "")
    warned = "" if predictor.least_evidence is None else ", with a warning for some of those that are unlike its training pictures"
    return (
        f"Labels: the model knows {len(predictor.classes)} classes ({some}), learned from pictures of "
        f"{predictor.image_size} pixels a side; it gives every picture one of them, whatever it shows{warned}."
    )


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"
