"""Lists the input pictures and videos, and gives each output a name of its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

from pellucid import pictures
from pellucid.errors import UserError
from pellucid.pictures import DICOM_ENDINGS, ENDINGS, KEPT, UNREAD, VIDEOS

LISTED = ENDINGS | VIDEOS.keys() | UNREAD.keys()
"""What is listed of a folder; pictures that are not read among it, since silence would look like success."""


def inputs(paths: Sequence[Path], made: Sequence[Path]) -> Iterator[tuple[Path, PurePosixPath]]:
    """Each picture among files and folders, in their order, and the target of its restored picture.

    A single folder keeps its tree; of several arguments, a folder's tree comes below the folder's name, and one that is called like an
    earlier argument is numbered: `a/x.png b/x.png` become `x.png` and `x-2.png`. Formats without loss and videos keep their names; of
    others a PNG keeps the ending: `x.jpg` becomes `x.jpg.png`, which no `x.png` beside it can meet.

    made: files and folders that the results are written to. In a folder they are passed over; to ask for one of them is a `UserError`.
    """
    ours = [path.resolve() for path in made]
    for path in paths:
        if _within(path.resolve(), ours):
            raise UserError(f"Expected pictures from outside of the results, found {path}; choose another output folder.")
    pictures.find(paths, LISTED)  # complains before the first picture, and of all paths
    return _inputs(paths, ours)


def _inputs(paths: Sequence[Path], ours: Sequence[Path]) -> Iterator[tuple[Path, PurePosixPath]]:
    taken: dict[str, int] = {}
    for path in paths:
        if not path.is_dir():
            yield path, PurePosixPath(_unlike(taken, restored_name(path.name)))
            continue
        root, top = path.resolve(), PurePosixPath()
        if len(paths) > 1:
            top /= _unlike(taken, root.name)
        for picture in pictures.find([path], LISTED):
            below = picture.relative_to(path)
            if not _within(root / below, ours):
                yield picture, top / below.parent / restored_name(below.name)


def restored_name(name: str) -> str:
    """What the restored picture of the file `name` is called: `name` itself or a longer one, never what another file's is called."""
    path = PurePath(name)
    ending = path.suffix.lower()
    if ending == ".png":
        return f"{name}.png" if PurePath(path.stem).suffix.lower() in LISTED | {".dicom"} else name  # x.jpg has the name x.jpg.png
    if ending in KEPT or ending in VIDEOS:
        return name
    named_by_number = ending in DICOM_ENDINGS or ending[1:].isdigit()
    return f"{name}.dicom.png" if named_by_number else f"{name}.png"  # a DICOM file x may lie beside a picture x.png


def mask_target(target: PurePosixPath) -> PurePosixPath:
    """The place of a mask, a PNG, by that of the restored picture."""
    return target if target.suffix.lower() == ".png" else target.with_name(f"{target.name}.png")


def _unlike(taken: dict[str, int], name: str) -> str:
    """`name`, numbered if it is taken already; `taken` counts how often each was asked for, in lower case for the sake of macOS."""
    path, unlike = PurePath(name), name
    while unlike.casefold() in taken:
        taken[name.casefold()] += 1
        unlike = f"{path.stem}-{taken[name.casefold()]}{path.suffix}"
    taken[unlike.casefold()] = 1
    return unlike


def _within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
