"""Picture files: finding, reading and writing them.

Whatever a file holds, what comes out is uint8 RGB, upright: the rest of Pellucid knows no palettes, orientations or bit depths.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pellucid import files
from pellucid.errors import UserError

MAX_PIXELS = 64_000_000
"""Pixels of the largest picture that is read unless more is asked for: 8,000 x 8,000, 192 MB once decoded."""

# Pillow's name -> endings. Not all that Pillow knows: some of its readers run other programs, such as Ghostscript.
READ = {
    "PNG":  (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP":  (".bmp",),
    "GIF":  (".gif",),
    "PPM":  (".ppm", ".pgm", ".pbm"),
}  # fmt: skip
ENDINGS = frozenset(ending for endings in READ.values() for ending in endings)

# ending -> Pillow's name and options; WebP without loss, because it is chosen for its size and would hide what a restoration did
WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    "":      ("PNG", {}),
    ".png":  ("PNG", {}),
    ".jpg":  ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"lossless": True}),
}  # fmt: skip

_pillow_limit = threading.Lock()


def find(paths: Sequence[Path]) -> Iterator[Path]:
    """The pictures among `paths`: a file as it is; of a folder all files in and below it, sorted, whose ending is a picture's.

    Hidden files, pipes, devices and links to folders are left out. Every path is looked at before the first picture comes, so that a
    mistake in the last one does not cost the work on the others.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"Expected a picture or a folder at {path}, found nothing there; check the path.")
        if not (path.is_file() or path.is_dir()):
            raise UserError(f"Expected a picture or a folder at {path}, found a pipe or a device; choose files.")
        if path.is_dir() and next(_walk(path), None) is None:
            raise UserError(
                f"Expected pictures ({' '.join(sorted(ENDINGS))}) in the folder {path}, found none; choose one that holds some."
            )
    return chain.from_iterable(_walk(path) if path.is_dir() else [path] for path in paths)


def read(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The picture in the file `path`, as `decode` has it."""
    try:
        with Path(path).open("rb") as stream:
            return decode(stream, str(path), max_pixels)
    except OSError as error:
        raise UserError(f"Expected a picture at {path}, found that it can't be opened ({error.strerror}); check the path.") from error


def decode(stream: IO[bytes], name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The picture in `stream`, called `name` in errors: (H, W, 3) uint8, RGB.

    It is turned upright as EXIF says; what is transparent is laid on white, as a page would show it; 16 bits become 8 by their high byte,
    so that black stays black, white stays white and every step is equally wide; of several frames the first one counts; colour profiles
    are ignored. A picture of more than `max_pixels` is refused before it is decoded.
    """
    try:
        image = _open(stream)
    except Exception as error:  # damaged bytes make Pillow's readers raise nearly anything, here and below
        stream.seek(0)
        found = "nothing that can be read as one" if stream.read(1) else "an empty file"
        raise UserError(f"Expected a picture ({', '.join(READ)}) in {name}, found {found}; convert it or leave it out.") from error
    width, height = image.size
    if width * height > max_pixels:
        raise UserError(
            f"Expected at most {max_pixels:,} pixels in {name}, found {width:,} x {height:,}; scale it down or cut it up first."
        )
    if image.mode in ("I", "F", "LAB") and image.format != "PPM":
        raise UserError(f"Expected 8 or 16 bits of grey, RGB or CMYK in {name}, found Pillow's mode {image.mode}; convert it to PNG first.")
    try:
        pixels = _rgb(image)
    except Exception as error:
        raise UserError(f"Expected a whole picture in {name}, found one that is cut short or damaged ({error}); copy it again.") from error
    return np.ascontiguousarray(pixels)


def write(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write `image`, (H, W, 3) uint8, RGB, as the ending of `path` says, PNG without one; the file appears whole or not at all."""
    path = Path(path)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"Expected a uint8 image of shape (H, W, 3), found {image.dtype} of shape {image.shape}; convert it to RGB first.")
    if path.suffix.lower() not in WRITTEN:
        raise UserError(f"Expected a picture's name to end in {' '.join(filter(None, WRITTEN))}, found {path}; choose one of these.")
    form, options = WRITTEN[path.suffix.lower()]
    with files.atomic_write(path) as aside:
        try:
            Image.fromarray(image).save(aside, form, **options)
        except ValueError as error:  # a WebP of more than 16,383 pixels a side
            raise UserError(f"Expected a picture that {form} can hold, found {path} to be none ({error}); write PNG instead.") from error


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in ENDINGS and path.is_file():  # not a pipe, which would be waited for
                yield path


def _unreadable(error: OSError) -> None:
    raise UserError(
        f"Expected to look into the folder {error.filename}, found that I can't ({error.strerror}); check its permissions."
    ) from error


def _open(stream: IO[bytes]) -> Image.Image:
    """The header of a picture, of any size: Pillow's own limit would refuse it without a word of how large it is."""
    with _pillow_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(stream, formats=list(READ))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels of `image`, upright: (H, W, 3)."""
    image.load()  # a PNG may have its EXIF block at its end
    with suppress(Exception):  # a picture whose EXIF block is damaged is still a picture
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours)
    return np.asarray(image.convert("RGB"))
