"""Small files that would fill the memory or take minutes, before any limit of pixels applies."""

import io
import struct
import time
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from test_pictures import decode, encoded, gradient

from pellucid import pictures
from pellucid.errors import UserError
from pellucid.pictures.opening import MAX_PAGES, num_pages

NUM_TAGS, REGION = 2000, 60_000


def directory(order: str = "<") -> bytes:
    """A TIFF of one directory, all of whose tags name the same bytes: about twice the file, of 84 KB, for every third tag."""
    entries = b"".join(struct.pack(f"{order}HHII", 40_000 + tag, 7, REGION, 8) for tag in range(NUM_TAGS))
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + REGION)
    return head + bytes(REGION) + struct.pack(f"{order}H", NUM_TAGS) + entries + bytes(4)


@pytest.fixture(autouse=True)
def _little_memory() -> None:
    tracemalloc.start()
    yield
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20e6


@pytest.mark.parametrize("order", "<>")
def test_a_tiff_whose_tags_share_their_bytes_is_refused(order: str) -> None:
    with pytest.raises(UserError, match="nothing that can be read as one"):
        decode(directory(order))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_exif_block_whose_tags_share_their_bytes_is_not_read(form: str) -> None:
    plain = encoded(Image.fromarray(gradient()), form)
    assert decode(plain).shape == (12, 20, 3)
    if form == "JPEG":  # in two segments: one has at most 64 KB; with others around them
        block = directory()
        parts = [b"Exif\0\0" + block[:50_000], b"Exif\0\0" + block[50_001:]]
        segments = [struct.pack(">HH", 0xFFE1, len(part) + 2) + part for part in parts]
        comment = struct.pack(">HH", 0xFFFE, 6) + b"note"
        content = plain[:2] + comment + segments[0] + b"\xff" + comment + segments[1] + plain[2:]
        np.testing.assert_array_equal(decode(content), decode(plain))
        return
    content = encoded(Image.fromarray(gradient()), form, exif=b"Exif\0\0" + directory())
    np.testing.assert_array_equal(decode(content), decode(plain))


def test_pages_are_counted_up_to_a_limit() -> None:
    page = struct.pack("<HHHII", 1, 254, 4, 1, 0)
    for number, expected in ((0, 1), (2, 3), (MAX_PAGES + 500, MAX_PAGES)):
        content = bytearray(encoded(Image.fromarray(gradient()), "TIFF"))
        first = struct.unpack_from("<I", content, 4)[0]
        end = first + 2 + 12 * struct.unpack_from("<H", content, first)[0]
        for _ in range(number):
            struct.pack_into("<I", content, end, len(content))
            end = len(content) + len(page)
            content += page + bytes(4)
        start = time.perf_counter()
        assert num_pages(io.BytesIO(content)) == expected
        picture = pictures.decode_picture(io.BytesIO(content), "scan")
        assert time.perf_counter() - start < 1
        assert picture.notes == {1: (), 3: ("first of 3 pages",), MAX_PAGES: ("first of 1,000 or more pages",)}[expected]
    big = encoded(Image.fromarray(gradient()), "TIFF", big_tiff=True)
    assert num_pages(io.BytesIO(big)) == 1
    np.testing.assert_array_equal(decode(big), gradient())


def test_pages_in_a_circle_end() -> None:
    content = bytearray(encoded(Image.fromarray(gradient()), "TIFF"))
    first = struct.unpack_from("<I", content, 4)[0]
    struct.pack_into("<I", content, first + 2 + 12 * struct.unpack_from("<H", content, first)[0], first)
    assert num_pages(io.BytesIO(content)) == 1


@pytest.mark.parametrize("form", ["TIFF", "PNG"])
def test_the_limit_of_pixels_is_the_callers_and_not_pillows(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # whose error is at twice that
    content = encoded(Image.fromarray(gradient()), form)
    assert decode(content).shape == (12, 20, 3)
    assert Image.MAX_IMAGE_PIXELS == 50


def test_float_pixels_are_refused_in_every_format() -> None:
    for form in ("PPM", "TIFF"):
        with pytest.raises(UserError, match="Pillow's mode F"):
            decode(encoded(Image.fromarray(gradient()[..., 0].astype(np.float32) / 255), form))
