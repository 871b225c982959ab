"""Opens a picture with Pillow, after checks that its header does not fill the memory, which Pillow's own limit does not cover."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO

from PIL import Image

from pellucid.pictures.formats import READ

MAX_PAGES = 1000
"""Pages of a TIFF that are counted."""

VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each type (TIFF 6.0, section 2; BigTIFF)."""

EXIF = b"Exif\0\0"

SEGMENT_HEAD = 4
"""Bytes of a JPEG's segment before its content: marker and length."""

_lock = threading.Lock()
_num_open = 0
_limit: int | None = None


@contextmanager
def without_limit() -> Iterator[None]:
    """Context manager: Pillow opens and decodes pictures of any size, since its error does not state the size; callers check it."""
    global _num_open, _limit
    with _lock:
        if not _num_open:
            _limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _num_open += 1
    try:
        yield
    finally:
        with _lock:
            _num_open -= 1
            if not _num_open:
                Image.MAX_IMAGE_PIXELS = _limit


def open_image(stream: IO[bytes]) -> Image.Image:
    """Read the header of a picture. Raises `ValueError` for a TIFF whose directory of tags names more bytes than there are, which Pillow
    would copy for every tag, and what Pillow raises for damaged pictures; a JPEG with such an EXIF block is read without it."""
    head = stream.read(2)
    if head == b"\xff\xd8":
        segments = _exif_segments(stream)
        try:
            check_directory(BytesIO(b"\n".join(_read(stream, *segment).removeprefix(EXIF) for segment in segments)))  # as Pillow joins them
        except ValueError:
            ends = [0, *(at for start, stop in segments for at in (start - SEGMENT_HEAD, stop)), stream.seek(0, os.SEEK_END)]
            stream = BytesIO(b"".join(_read(stream, start, stop) for start, stop in zip(ends[::2], ends[1::2], strict=True)))
    elif head in (b"II", b"MM"):
        check_directory(stream)
    stream.seek(0)
    return Image.open(stream, formats=[form for form in READ if form != "DICOM"])


def check_exif(image: Image.Image) -> None:
    """Raise `ValueError` for an EXIF block whose directory names more bytes than it has."""
    block = image.info.get("exif")
    if block is None and (text := image.info.get("Raw profile type exif")):  # of PNGs
        block = bytes.fromhex("".join(text.split("\n")[3:]))
    if block is not None:
        check_directory(BytesIO(block.removeprefix(EXIF)))


def check_directory(stream: IO[bytes]) -> None:
    """Raise `ValueError` if the first directory of a TIFF or an EXIF block names more bytes than twice those that there are."""
    for size in _directories(stream):
        if size > 2 * stream.seek(0, os.SEEK_END):
            raise ValueError("its directory names more bytes than it has")
        return


def num_pages(stream: IO[bytes]) -> int:
    """The number of pages of a TIFF, at most `MAX_PAGES`: Pillow's time for it grows with the square of the number."""
    return sum(1 for _ in _directories(stream))


def _directories(stream: IO[bytes]) -> Iterator[int]:
    """For each directory of a TIFF, at most `MAX_PAGES`, the number of bytes of its values; ends at one that is cut short."""
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(16)
    order = {b"II": "little", b"MM": "big"}.get(head[:2])
    if order is None:
        return

    def number(content: bytes) -> int:
        return int.from_bytes(content, order)  # type: ignore[arg-type]

    big = number(head[2:4]) == 43  # BigTIFF: longer counts and offsets
    count_size, offset_size, entry_size = (8, 8, 20) if big else (2, 4, 12)
    offset, seen = number(head[8:16] if big else head[4:8]), set[int]()
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        stream.seek(min(offset, length))
        num_entries = number(stream.read(count_size))
        if num_entries * entry_size > length:
            return
        entries = stream.read(num_entries * entry_size)
        following = stream.read(offset_size)
        starts = range(0, len(entries) - entry_size + 1, entry_size)
        yield sum(VALUE_SIZES.get(number(entries[at + 2 : at + 4]), 0) * number(entries[at + 4 : at + 4 + offset_size]) for at in starts)
        offset = number(following)


def _exif_segments(stream: IO[bytes]) -> list[tuple[int, int]]:
    """Where the contents of the EXIF segments of a JPEG start and stop (ITU T.81, annex B)."""
    segments = []
    stream.seek(2)
    while (marker := stream.read(2))[:1] == b"\xff" and marker != b"\xff\xda":  # up to the pixels
        if marker == b"\xff\xff":  # fill bytes
            stream.seek(-1, os.SEEK_CUR)
        elif marker[1:] not in (b"", b"\x01") and not 0xD0 <= marker[1] <= 0xD8:  # others have a length
            size = int.from_bytes(stream.read(2), "big") - 2
            if size < 0:
                break
            start = stream.tell()
            if marker == b"\xff\xe1" and stream.read(len(EXIF)) == EXIF:
                segments.append((start, start + size))
            stream.seek(start + size)
    return segments


def _read(stream: IO[bytes], start: int, stop: int) -> bytes:
    stream.seek(start)
    return stream.read(stop - start)
