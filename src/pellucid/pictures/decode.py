"""Decodes picture files: Pillow for 8 bits and grey, OpenCV for 16-bit colours, pydicom for DICOM."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps
from PIL.PpmImagePlugin import PpmImageFile

from pellucid.ahead import Reserve
from pellucid.errors import UserError, out_of_memory
from pellucid.pictures.dicom import MAGIC, PREAMBLE, decode_dicom, starts_dicom
from pellucid.pictures.formats import MAX_PIXELS, READ, UNREAD
from pellucid.pictures.opening import MAX_PAGES, check_exif, num_pages, open_image, without_limit
from pellucid.pictures.picture import Picture, Pixels, find_window, stretch

ONE_PICTURE = ("MPO",)  # JPEGs of phones, whose further pictures are previews and depth maps


def load(path: str | Path, max_pixels: int = MAX_PIXELS, reserve: Reserve | None = None) -> Picture:
    """The picture in the file `path`, see `decode_picture`; raises `UserError` also for a file that can't be opened."""
    try:
        with Path(path).open("rb") as stream:
            return decode_picture(stream, str(path), max_pixels, reserve)
    except OSError as error:
        raise UserError(f"Expected a picture at {path}, found that it can't be opened ({error.strerror}); check the path.") from error


def decode_picture(stream: IO[bytes], name: str, max_pixels: int = MAX_PIXELS, reserve: Reserve | None = None) -> Picture:
    """The picture in `stream`, which errors call `name`.

    It is rotated by its EXIF orientation. Colours stay in their profile; CMYK and palettes become RGB. Of several frames or pages, the
    first is used. 16-bit values that span only a part of their range are stretched to the whole of it, see `find_window`. The notes list
    these changes.

    reserve: called with the number of pixels before they are decoded, see `pellucid.ahead`. Raises `UserError` for a picture of more than
    `max_pixels`, before it is decoded, for an unsupported format, and for a truncated or damaged file.
    """

    def check_size(width: int, height: int) -> None:
        if width * height > max_pixels:
            raise UserError(
                f"Expected at most {max_pixels:,} pixels in {name}, found {width:,} x {height:,}; scale it down or crop it first."
            )
        if reserve is not None:
            reserve(width * height)

    head = stream.read(PREAMBLE + len(MAGIC))
    stream.seek(0)
    if starts_dicom(head):
        return decode_dicom(stream, name, check_size)
    with without_limit():
        return _decode_image(stream, name, head, check_size)


def _decode_image(stream: IO[bytes], name: str, head: bytes, check_size: Callable[[int, int], None]) -> Picture:
    try:
        image = open_image(stream)
    except Exception as error:  # damaged bytes make Pillow's readers raise nearly anything, here and below
        content = UNREAD.get(Path(name).suffix.lower(), "nothing that can be read as one") if head else "an empty file"
        raise UserError(f"Expected a picture ({', '.join(READ)}) in {name}, found {content}; convert it or leave it out.") from error
    check_size(*image.size)
    if image.mode in ("F", "LAB") or (image.mode == "I" and image.format != "PPM"):
        raise UserError(f"Expected 8 or 16 bits of grey, RGB or CMYK in {name}, found Pillow's mode {image.mode}; convert it to PNG first.")
    try:
        return _decode(image, stream)
    except MemoryError as error:
        raise out_of_memory(f"the picture in {name}") from error
    except Exception as error:
        raise UserError(f"Expected a whole picture in {name}, found one that is cut short or damaged ({error}); copy it again.") from error


def _decode(image: Image.Image, stream: IO[bytes]) -> Picture:
    largest: Any = 255  # value of a PPM
    if isinstance(image, PpmImageFile) and image.tile[0].codec_name == "ppm":
        largest = tuple(image.tile[0].args or (255,))[-1]
    given = _orientation(image)
    image.load()  # a PNG may have its EXIF block at its end; a TIFF is turned upright
    turned = _orientation(image)
    dpi = _dpi(image, max(given, turned))
    notes = []
    tiff = image.format == "TIFF"
    num_frames = 1 if image.format in ONE_PICTURE else num_pages(stream) if tiff else getattr(image, "n_frames", 1)
    if num_frames > 1:
        several = f"{num_frames:,} or more" if tiff and num_frames == MAX_PAGES else f"{num_frames:,}"
        notes.append(f"first of {several} {'pages' if tiff else 'frames'}")
    if image.mode == "CMYK":
        notes.append("CMYK became RGB")
    deep = image.mode.startswith("I") or largest > 255 or _has_deep_colours(image, stream)
    colours, alpha, grey = _deep(image, stream, turned) if deep else _shallow(image, turned)
    window = None
    if image.format == "PPM" and largest > 255 and not grey:
        colours = stretch(colours, (0, largest))  # Pillow has done so to grey
    elif colours.dtype == np.uint16:
        window = find_window(colours, grey)
        if window is not None:
            colours = stretch(colours, window)
            notes.append(f"16-bit values {window[0]:,} to {window[1]:,} are black to white")
    if alpha is not None:
        colours[alpha == 0] = np.iinfo(colours.dtype).max  # their stored colour is arbitrary
    profile = image.info.get("icc_profile")
    kept = profile is not None and profile[16:20] == (b"GRAY" if grey else b"RGB ")
    return Picture(np.ascontiguousarray(colours), grey, alpha, window, profile if kept else None, dpi, tuple(notes))


def _shallow(image: Image.Image, turned: int) -> tuple[Pixels, Pixels | None, bool]:
    """Colours (H, W, 3) and alpha (H, W) of 8 bits, upright, and whether the colours are grey."""
    if turned != 1:  # exif_transpose would copy the picture in any case
        with suppress(Exception):
            image = ImageOps.exif_transpose(image)
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        mode = "L" if grey else "RGB"
        colours = np.array(image if image.mode == mode else image.convert(mode))
        return (np.repeat(colours[:, :, None], 3, axis=2) if grey else colours), None, grey
    both = np.array(image.convert("RGBA"))
    return both[:, :, :3].copy(), both[:, :, 3].copy(), grey


def _has_deep_colours(image: Image.Image, stream: IO[bytes]) -> bool:
    """Whether Pillow has reduced more than 8 bits of colour or alpha to 8."""
    if image.format == "PNG":
        stream.seek(24)
        return stream.read(1) == b"\x10"
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, (8,))  # type: ignore[attr-defined]
        return image.mode in ("RGB", "RGBA", "RGBX") and bits[0] == 16
    if image.format == "JPEG2000":
        stream.seek(0)
        _, marker, sizes = stream.read(4096).partition(b"\xff\x4f\xff\x51")  # ISO 15444-1, A.5.1: Ssiz is the depth of the first channel
        return bool(marker) and len(sizes) > 38 and (sizes[38] & 0x7F) >= 8
    return False


def _deep(image: Image.Image, stream: IO[bytes], turned: int) -> tuple[Pixels, Pixels | None, bool]:
    """Colours (H, W, 3) and alpha (H, W) of 16 bits, upright, and whether the colours are grey."""
    if image.mode.startswith("I"):
        values: Pixels = np.asarray(image).astype(np.uint16)
        if image.format == "TIFF" and image.tag_v2.get(262) == 0:  # type: ignore[attr-defined]
            values = ~values  # 0 is white, which Pillow inverts in 8 bits only
    else:
        stream.seek(0)
        import cv2  # only for these, to keep the start of the command line fast

        decoded = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None or decoded.dtype != np.uint16:
            raise ValueError("its 16-bit pixels can't be decoded")
        values = decoded.astype(np.uint16, copy=False)
    values = _turn(values, turned)
    if values.ndim == 2:
        clear = image.info.get("transparency")
        alpha = None if clear is None else np.where(values == clear, 0, 65535).astype(np.uint16)
        return np.repeat(values[:, :, None], 3, axis=2), alpha, True
    colours, alpha = values[:, :, 2::-1].copy(), values[:, :, 3].copy() if values.shape[2] == 4 else None
    if alpha is not None and image.format == "TIFF" and image.tag_v2.get(338) == (1,):  # type: ignore[attr-defined]
        scale = np.float32(65535) / np.maximum(alpha, 1)[:, :, None]  # the stored colours are multiplied by alpha
        colours = np.minimum(colours * scale, 65535).round().astype(np.uint16)
    stream.seek(25)
    grey = image.format == "PNG" and stream.read(1) == b"\x04"  # its colour type; Pillow's mode is RGBA
    return colours, alpha, grey


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 is upright."""
    with suppress(Exception):  # a picture whose EXIF block is damaged is still a picture
        check_exif(image)
        return int(image.getexif().get(0x0112, 1))
    return 1


def _turn(values: Pixels, orientation: int) -> Pixels:
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return values[::rows, ::columns]


def _dpi(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """Dots per inch across and down, of the upright picture; `None` if missing or implausible."""
    with suppress(TypeError, ValueError):
        across, down = (float(each) for each in image.info.get("dpi", ()))
        if 1 < across < 1e5 and 1 < down < 1e5:  # TIFFs without a unit say 1
            return (down, across) if orientation in (5, 6, 7, 8) else (across, down)
    return None
