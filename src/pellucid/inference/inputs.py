"""Lists the input pictures and videos, and assigns each a unique output name."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

from pellucid import pictures
from pellucid.errors import UserError
from pellucid.pictures import DICOM_ENDINGS, ENDINGS, LOSSLESS, UNREAD, VIDEOS

LISTED = ENDINGS | VIDEOS.keys() | UNREAD.keys()
"""Endings of listed files, including unsupported pictures, which are reported rather than skipped silently."""


def inputs(paths: Sequence[Path], made: Sequence[Path]) -> Iterator[tuple[Path, PurePosixPath]]:
    """Each picture among files and folders, in their order, and the target of its restored picture.

    A single folder keeps its tree; of several arguments, a folder's tree comes below the folder's name, and duplicate names are
    numbered: `a/x.png b/x.png` become `x.png` and `x-2.png`. Lossless formats and videos keep their names; for
    others, `.png` is appended: `x.jpg` becomes `x.jpg.png`, distinct from any `x.png`.

    made: files and folders of the results. They are skipped inside folders; raises `UserError` if one is among `paths`.
    """
    ours = [path.resolve() for path in made]
    for path in paths:
        if _within(path.resolve(), ours):
            raise UserError(f"Expected pictures from outside of the results, found {path}; choose another output folder.")
    pictures.find(paths, LISTED)  # checks all paths before the first picture
    return _inputs(paths, ours)


def _inputs(paths: Sequence[Path], ours: Sequence[Path]) -> Iterator[tuple[Path, PurePosixPath]]:
    taken: dict[str, int] = {}
    for path in paths:
        if not path.is_dir():
            yield path, PurePosixPath(_unique(taken, restored_name(path.name)))
            continue
        top = PurePosixPath()
        if len(paths) > 1:
            top /= _unique(taken, path.resolve().name)
        folder, skipped, made, target = None, False, set[str](), top
        for picture in pictures.find([path], LISTED):  # texts where there is a million of them
            parent, _, name = str(picture).rpartition(os.sep)
            if parent != folder:
                folder, here = parent, picture.parent.resolve()  # folders may be links
                skipped, target = _within(here, ours), top / picture.parent.relative_to(path)
                made = {each.name for each in ours if each.parent == here}
            if not skipped and name not in made:
                yield picture, target / restored_name(name)


def restored_name(name: str) -> str:
    """The name of the restored picture of the file `name`: `name` itself or a longer one, unique for each file."""
    if name[-4:].lower() == ".png" and name.count(".") == 1 and len(name) > 4:
        return name
    path = PurePath(name)
    ending = path.suffix.lower()
    if ending == ".png":
        return f"{name}.png" if PurePath(path.stem).suffix.lower() in LISTED | {".dicom"} else name  # x.jpg has the name x.jpg.png
    if ending in LOSSLESS or ending in VIDEOS:
        return name
    named_by_number = ending in DICOM_ENDINGS or ending[1:].isdigit()
    return f"{name}.dicom.png" if named_by_number else f"{name}.png"  # a DICOM file x may lie beside a picture x.png


def mask_target(target: PurePosixPath) -> PurePosixPath:
    """The path of a mask, a PNG, from that of the restored picture."""
    return target if target.suffix.lower() == ".png" else target.with_name(f"{target.name}.png")


def _unique(taken: dict[str, int], name: str) -> str:
    """`name`, numbered if it is taken; `taken` counts the uses of each name, in lower case for case-insensitive file systems."""
    path, unique = PurePath(name), name
    while unique.casefold() in taken:
        taken[name.casefold()] += 1
        unique = f"{path.stem}-{taken[name.casefold()]}{path.suffix}"
    taken[unique.casefold()] = 1
    return unique


def _within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
