"""The file `predictions.jsonl`: lines are appended as pictures are done, so that an interrupted call can be resumed.

Each of several processes writes its own part, `predictions-RANK.jsonl`; the first one merges them.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import zip_longest
from pathlib import Path
from typing import TextIO

from pellucid import files
from pellucid.errors import UserError
from pellucid.inference.lines import Line

PREDICTIONS = "predictions.jsonl"


def part(out: Path, rank: int, num_processes: int) -> Path:
    """The file that a process appends to."""
    return out / (PREDICTIONS if num_processes == 1 else f"predictions-{rank}.jsonl")


def parts(out: Path) -> list[Path]:
    """The existing parts, in the order of the ranks; other files, such as a copy `predictions-old.jsonl`, are the user's."""
    found = [path for path in out.glob("predictions-*.jsonl") if path.stem.removeprefix("predictions-").isdecimal()]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def exists(out: Path) -> bool:
    """Whether there are lines of an earlier call in `out`."""
    return (out / PREDICTIONS).exists() or bool(parts(out))


def begin(out: Path, source: Line, resume: bool) -> None:
    """Start `predictions.jsonl` with the successful lines of an earlier call, if it is resumed, or empty.

    Errors, frames of unfinished videos and incomplete lines are dropped. Raises `UserError` if the earlier call had another model or other
    options; options that are `None` are not in the lines.
    """
    earlier = [path for path in [out / PREDICTIONS, *parts(out)] if path.exists()] if resume else []
    finished: dict[str, Path] = {}  # input -> the first file with all its lines: a stopped merge leaves some in two
    for path in earlier:
        for line in read_lines(path):
            if other := {name: line.get(name) for name in source if line.get(name) != source[name]}:
                raise UserError(
                    f"Expected to go on with the model of {path} ({other}), found {source}; choose that one, or another folder."
                )
            if ends(line) and "error" not in line:
                finished.setdefault(line["path"], path)
    with files.atomic_write(out / PREDICTIONS) as temporary, temporary.open("w", encoding="utf-8") as file:
        for path in earlier:
            kept = (line for line in read_lines(path) if finished.get(line["path"]) == path and "error" not in line)
            file.writelines(json.dumps(line) + "\n" for line in kept)
    for path in parts(out):
        path.unlink()


def finish(out: Path) -> None:
    """Append the lines of all parts to `predictions.jsonl`, in the order of the inputs, and remove the parts."""
    with ExitStack() as stack:
        file = stack.enter_context((out / PREDICTIONS).open("a", encoding="utf-8"))
        streams = [stack.enter_context(path.open(encoding="utf-8")) for path in parts(out)]
        for inputs in zip_longest(*map(_by_input, streams), fillvalue=""):
            file.writelines(inputs)
    for path in parts(out):
        path.unlink()


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, one at a time; incomplete ones are skipped."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            with suppress(json.JSONDecodeError):
                yield json.loads(line)


def ends(line: Line) -> bool:
    """Whether it is the last line of its input: frames are followed by the line of their video."""
    return "frame" not in line


def _by_input(stream: TextIO) -> Iterator[str]:
    """The lines of each input as one text."""
    lines = []
    for line in stream:
        lines.append(line)
        if ends(json.loads(line)):
            yield "".join(lines)
            lines = []
