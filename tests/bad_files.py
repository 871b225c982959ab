"""Files that are no pictures, or no whole ones, and unusual ones that are: sent to `predict`, to the API, and dropped on both pages."""

import struct
import zlib

import cv2
import numpy as np
from PIL import Image
from servers import encoded, picture


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, depth: int, colour: int, num_bytes: int) -> bytes:
    """A PNG of so many zeros, which are filters and pixels; Pillow takes four times as long for a large one."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(num_bytes))) + _chunk(b"IEND", b"")


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A small PNG whose header promises a huge picture."""
    return _png(width, height, 8, 2, 1000)


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(picture(40, 40)), "JPEG", exif=exif)


IMAGE = Image.fromarray(picture(40, 40))
WHOLE = {form: encoded(IMAGE, form) for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")}

BAD: dict[str, bytes] = {
    **{f"half.{form.lower()}": content[: len(content) // 2] for form, content in WHOLE.items() if form != "GIF"},
    "cut.png": WHOLE["PNG"][:-200],
    "cut.jpg": WHOLE["JPEG"][:-200],
    "head.png": WHOLE["PNG"][:20],
    "text.png": b"Dear diary",
    "empty.jpg": b"",
    "huge.png": bomb(),
    "one bit, huge.png": _png(20_000, 20_000, 1, 0, 20_000 * (1 + 20_000 // 8)),
    "float.tif": encoded(Image.new("F", (3, 2)), "TIFF"),
    "pickle.png": b"\x80\x04\x95\x10",
    "vector.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "page.html": b"<!doctype html><img src=x onerror=alert(1)>",
    "print.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "clip.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100),
    "archive.zip": b"PK\x03\x04" + bytes(26),
    "<b>bold</b> & \u732b.png": b"no picture",
}
"""Content by name."""

ODD: dict[str, bytes] = {
    "one pixel.png": encoded(Image.fromarray(picture(1, 1)), "PNG"),
    "one row.png": encoded(Image.fromarray(picture(1, 30)), "PNG"),
    "grey.png": encoded(IMAGE.convert("L"), "PNG"),
    "deep.png": cv2.imencode(".png", picture().astype(np.uint16) * 257)[1].tobytes(),
    "palette.png": encoded(Image.new("P", (7, 5)), "PNG", transparency=b"\x80"),
    "alpha.webp": encoded(IMAGE.convert("RGBA"), "WEBP"),
    "one bit.png": encoded(IMAGE.convert("1"), "PNG"),
    "turned.jpg": _turned(),
    "cmyk.jpg": encoded(IMAGE.convert("CMYK"), "JPEG"),
    "frames.gif": encoded(IMAGE, "GIF", save_all=True, append_images=[Image.fromarray(picture(40, 40, 1))]),
    "frames.webp": encoded(IMAGE, "WEBP", save_all=True, append_images=[Image.fromarray(picture(40, 40, 1))]),
    "one frame.gif": WHOLE["GIF"],
    "misnamed.png": WHOLE["JPEG"],
    "no ending": WHOLE["PNG"],
}
"""Whole pictures by name, for browsers too."""
