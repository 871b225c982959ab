"""Encodes pictures, keeping the properties that the format supports: 16 bits, grey, alpha, colour profile, dpi."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid import files
from pellucid.errors import UserError
from pellucid.pictures.formats import DEEP, TRANSPARENT, WRITTEN
from pellucid.pictures.picture import Picture, Pixels, eight_bits, unstretch

PNG_HEADER = 33
"""Bytes of a PNG's signature and first chunk; profile and dpi come next."""

PNG_LEVEL = 2
"""zlib's level: 6, Pillow's, takes four times as long on a photograph, for files that are a tenth smaller."""

PNG_SMALL = 4000
"""Bytes of pixels up to which a PNG isn't compressed: its file takes one block of a disk in any case, and zlib's start most of the time."""


def write(path: str | Path, image: NDArray[np.uint8] | Picture) -> None:
    """Write a picture, or an array (H, W, 3) uint8, RGB, atomically, in the format of the ending of `path`; without an ending as PNG.

    PNG, TIFF, PPM and PGM keep 16 bits, in the range of the values of the original file; PNG, TIFF, WebP and BMP keep alpha. Raises
    `UserError` for an unknown ending, a picture that the format can't hold, and a path that can't be written.
    """
    path = path if isinstance(path, Path) else Path(path)
    picture = image if isinstance(image, Picture) else Picture(image)
    pixels = picture.pixels
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16) or pixels.size == 0:
        raise ValueError(
            f"Expected a uint8 or uint16 image of shape (H, W, 3), found {pixels.dtype} of shape {pixels.shape}; convert it to RGB first."
        )
    if path.suffix.lower() not in WRITTEN:
        raise UserError(f"Expected a picture's name to end in {' '.join(filter(None, WRITTEN))}, found {path}; choose one of these.")
    form, options = WRITTEN[path.suffix.lower()]
    stored = _stored(picture, form)
    with files.atomic_write(path) as temporary:
        try:
            if form == "PNG":
                temporary.write_bytes(_png(stored, picture))
            elif stored.dtype == np.uint16 and (stored.ndim == 3 or form == "PPM"):
                _write_deep(temporary, form, stored, picture)
            elif form == "BMP" and stored.ndim == 3 and stored.shape[2] == 4:  # Pillow would drop alpha
                temporary.write_bytes(_encode(".bmp", stored))
            else:
                Image.fromarray(stored).save(temporary, form, **options, **_options(picture, form))
        except ValueError as error:  # a WebP of more than 16,383 pixels a side
            raise UserError(f"Expected a picture that {form} can hold, found {path} to be none ({error}); write PNG instead.") from error


def encode_png(picture: Picture) -> bytes:
    """A picture as a PNG in memory, with the properties that `write` keeps."""
    return _png(_stored(picture, "PNG"), picture)


def _png(stored: Pixels, picture: Picture) -> bytes:
    """By OpenCV, which is twice as fast as Pillow on small pictures, but for grey with alpha, which it can't write."""
    if stored.ndim == 3 and stored.shape[2] == 2:
        stream = BytesIO()
        Image.fromarray(stored).save(stream, "PNG", compress_level=PNG_LEVEL, **_options(picture, "PNG"))
        return stream.getvalue()
    content = _encode(".png", stored)
    return content[:PNG_HEADER] + _png_chunks(picture) + content[PNG_HEADER:]


def _stored(picture: Picture, form: str) -> Pixels:
    """The stored values: (H, W), or (H, W, C) for grey and alpha, RGB, or RGB and alpha."""
    pixels: Pixels = picture.pixels
    alpha = picture.alpha if form in TRANSPARENT else None
    if alpha is None and picture.alpha is not None:
        pixels = picture.on_white()
    if pixels.dtype == np.uint16:
        pixels = unstretch(pixels, picture.window) if form in DEEP else eight_bits(pixels)
    if alpha is not None and alpha.dtype != pixels.dtype:
        alpha = eight_bits(alpha)
    if alpha is None:
        return pixels[:, :, 0] if picture.grey else pixels
    grey_alpha = picture.grey and pixels.dtype == np.uint8 and form in ("PNG", "TIFF")
    return np.dstack([pixels[:, :, :1] if grey_alpha else pixels, alpha])


def _options(picture: Picture, form: str) -> dict[str, Any]:
    """Pillow's options for the colour profile and the dots per inch."""
    options: dict[str, Any] = {}
    if picture.profile is not None and form in ("PNG", "JPEG", "WEBP", "TIFF"):
        options["icc_profile"] = picture.profile
    if picture.dpi is not None and form in ("PNG", "JPEG", "TIFF", "BMP"):
        options["dpi"] = tuple(map(round, picture.dpi)) if form == "JPEG" else picture.dpi
    return options


def _write_deep(path: Path, form: str, stored: Pixels, picture: Picture) -> None:
    """16 bits of colour or alpha, which Pillow can't write."""
    if form == "TIFF":
        import tifffile  # OpenCV would drop the colour profile

        tifffile.imwrite(
            path,
            stored,
            photometric="rgb",
            extrasamples=["unassalpha"] if stored.shape[2] == 4 else None,
            compression="zlib",
            iccprofile=picture.profile,
            resolution=picture.dpi,
            resolutionunit=None if picture.dpi is None else "INCH",
            metadata=None,
        )
        return
    path.write_bytes(_encode(f".{form.lower()}", stored))


def _encode(ending: str, stored: Pixels) -> bytes:
    """Encode by OpenCV, whose channel order is BGR."""
    import cv2

    level = 0 if stored.nbytes <= PNG_SMALL else PNG_LEVEL
    png = [cv2.IMWRITE_PNG_COMPRESSION, level, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]  # to choose a filter takes longer
    options = png if ending == ".png" else []
    stored = np.ascontiguousarray(stored)
    try:
        if stored.ndim == 2:
            written, content = cv2.imencode(".pgm" if ending == ".ppm" else ending, stored, options)
        else:
            order = cv2.COLOR_RGB2BGR if stored.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
            written, content = cv2.imencode(ending, cv2.cvtColor(stored, order), options)
    except cv2.error as error:
        raise ValueError(error) from error
    if not written:
        raise ValueError("OpenCV can't encode it")
    return bytes(content)


def _png_chunks(picture: Picture) -> bytes:
    """The chunks of the colour profile and of the dots per metre (PNG 1.2, 4.2.2.4 and 4.2.4.2)."""
    chunks = b""
    if picture.profile is not None:
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(picture.profile))
    if picture.dpi is not None:
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *(round(dots / 0.0254) for dots in picture.dpi), 1))
    return chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
