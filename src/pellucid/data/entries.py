"""Lists the pictures of a folder or a table, with their labels, splits and damaged versions."""

import csv
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid import pictures
from pellucid.errors import UserError

SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""Accepted names of splits, of folders and in tables."""

CLEAN, DAMAGED = "clean", "damaged"
"""The folders of pairs."""

UNLABELLED_FOLDER = "unlabelled"
"""The folder of pictures without a label beside the folders of the classes."""

TABLE_COLUMNS = ("path", "label", "split", "damaged", "group")
"""Columns of a table: file, class, split, file of the damaged version, group such as a patient; all but the first are optional."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture; `None` for unknown values.

    path: its file; label: the name of its class; split: `train`, `validation` or `test`; damaged: the file of its damaged version; group:
    pictures of one group, such as those of one patient, are kept in one part.
    """

    path: Path
    label: str | None = None
    split: str | None = None
    damaged: Path | None = None
    group: str | None = None


def list_entries(source: Path) -> list[Entry]:
    """The pictures of a folder, or of a table (CSV or JSON lines), in a fixed order. Raises `UserError`.

    A folder holds a folder for each class; or pictures without a label; or `clean` and `damaged` with pairs of the same names, each with
    or without folders of classes. Any of these may lie in folders `train`, `val` and `test`, with no pictures beside these. The folder
    `unlabelled` is no class.
    """
    if not os.path.exists(source):  # noqa: PTH110 - pathlib raises for names that are too long
        raise UserError(f"Expected a folder of pictures or a table of them at {source}, found nothing there; check the path.")
    entries = list(_of_table(source) if source.is_file() else _of_folder(source))
    if not entries:
        raise UserError(f"Expected pictures ({' '.join(sorted(pictures.ENDINGS))}) in {source}, found none; choose a folder that has some.")
    return entries


def _of_folder(folder: Path) -> Iterator[Entry]:
    splits = {child: SPLITS[child.name.lower()] for child in _folders(folder) if child.name.lower() in SPLITS}
    if "train" not in splits.values():  # without one, `test` may well be a class
        yield from _of_split(folder, None)
        return
    if other := next((path for path in pictures.find([folder]) if splits.keys().isdisjoint(path.parents)), None):
        raise UserError(
            f"Expected all pictures of {folder} in its folders {' and '.join(child.name for child in splits)}, found others, such as "
            f"{other}; move them into one of these, or rename these if they are classes."
        )
    for child, split in splits.items():
        yield from _of_split(child, split)


def _of_split(folder: Path, split: str | None) -> Iterator[Entry]:
    names = {child.name for child in _folders(folder)}
    if not {CLEAN, DAMAGED} <= names:
        yield from (Entry(path, label, split) for path, label in _labelled(folder))
        return
    clean, damaged = ({path.relative_to(folder / part): label for path, label in _labelled(folder / part)} for part in (CLEAN, DAMAGED))
    others: dict[Path, list[Path]] = defaultdict(list)  # damaged versions in another format
    for name in damaged.keys() - clean.keys():
        others[_stem(name)].append(name)
    for name, label in clean.items():
        versions = [name] if name in damaged else others.pop(_stem(name), [])
        if len(versions) != 1:
            raise UserError(
                f"Expected a damaged version of {folder / CLEAN / name} in {folder / DAMAGED}, found {len(versions) or 'none'}; "
                "add it under the same name, or leave that picture out."
            )
        yield Entry(folder / CLEAN / name, label, split, folder / DAMAGED / versions[0])


def _stem(name: Path) -> Path:
    """A name without the ending of its format; DICOM files may be named by identifiers, whose last part is none."""
    return name.with_suffix("") if name.suffix.lower() in pictures.ENDINGS else name


def _labelled(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """The pictures of a folder, each with its class, the name of the subfolder."""
    for path in pictures.find([folder]):
        first, *rest = path.relative_to(folder).parts
        yield path, first if rest and first != UNLABELLED_FOLDER else None


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _of_table(table: Path) -> Iterator[Entry]:
    for number, row in _rows(table):
        values = {name: text for name in TABLE_COLUMNS if row.get(name) is not None and (text := str(row[name]).strip())}
        if None in row:
            raise UserError(
                f"Expected as many cells as columns in line {number} of {table}, found more; put quotes around cells with commas."
            )
        if odd := [name for name in values if not isinstance(row[name], str | int)]:
            raise UserError(f"Expected text as '{odd[0]}' in line {number} of {table}, found {values[odd[0]]}; correct it.")
        if "path" not in values:
            raise UserError(f"Expected a path in line {number} of {table}, found none; its columns are {', '.join(TABLE_COLUMNS)}.")
        split = values.get("split")
        if split is not None and split.lower() not in SPLITS:
            raise UserError(f"Expected a split among {', '.join(SPLITS)} in line {number} of {table}, found '{split}'; correct it.")
        yield Entry(
            table.parent / values["path"],
            values.get("label"),
            SPLITS[split.lower()] if split else None,
            table.parent / values["damaged"] if "damaged" in values else None,
            values.get("group"),
        )


def _rows(table: Path) -> Iterator[tuple[int, dict[str | None, Any]]]:
    """The rows of a table and their line numbers."""
    try:
        text = table.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
        if table.suffix.lower() == ".csv":
            reader = csv.DictReader(text.split("\n"), skipinitialspace=True)  # `splitlines` also splits at characters within cells
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            yield from ((reader.line_num, row) for row in reader)
            return
        if table.suffix.lower() in (".jsonl", ".ndjson"):
            yield from ((number, _object(line, number)) for number, line in enumerate(text.split("\n"), 1) if line.strip())
            return
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"Expected a table of pictures in {table}, found one that can't be read ({error}); write it as UTF-8.") from error
    raise UserError(f"Expected a folder, or a table that ends in .csv or .jsonl, found {table}; convert it.")


def _object(line: str, number: int) -> dict[str | None, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise TypeError(f'line {number} is no object such as {{"path": "a.png"}}')
    return row
