import io
import os
import stat
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pellucid import pictures
from pellucid.errors import UserError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def gradient(height: int = 12, width: int = 20) -> NDArray[np.uint8]:
    """No two rows, columns or channels alike, so that every flip and swap shows."""
    y, x = np.mgrid[:height, :width]
    return np.stack([10 * x, 10 * y, 3 * x + 7 * y], axis=2).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def decode(content: bytes, max_pixels: int = pictures.MAX_PIXELS) -> NDArray[np.uint8]:
    return pictures.decode(io.BytesIO(content), "picture", max_pixels)


@given(image=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), ending=st.sampled_from([".png", ".WebP", ""]))
@settings(max_examples=50, deadline=None)
def test_what_is_written_without_loss_is_read_back(tmp_path_factory: pytest.TempPathFactory, image: NDArray[np.uint8], ending: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"written{ending}"
    pictures.write(path, image)
    np.testing.assert_array_equal(pictures.read(path), image)


def test_jpeg_is_close(tmp_path: Path) -> None:
    pictures.write(tmp_path / "a.jpg", gradient())
    assert (tmp_path / "a.jpg").read_bytes().startswith(b"\xff\xd8")
    assert np.abs(pictures.read(tmp_path / "a.jpg") - gradient().astype(int)).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_turns_the_picture_upright(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(gradient()), form, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert upright.size == ((20, 12) if orientation < 5 else (12, 20))
    np.testing.assert_array_equal(decode(content), np.asarray(upright))


def test_a_damaged_exif_block_costs_no_picture() -> None:
    content = encoded(Image.fromarray(gradient()), "PNG", exif=b"Exif\0\0no such thing")
    np.testing.assert_array_equal(decode(content), gradient())


def transparent_palette() -> bytes:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, 0, 0, 255])
    image.putdata([0, 1])
    return encoded(image, "PNG", transparency=b"\xff\x00")


ODD = {
    "grey": (encoded(Image.new("L", (2, 1), 77), "PNG"), [(77, 77, 77)] * 2),
    "grey with alpha": (encoded(Image.new("LA", (2, 1), (100, 0)), "PNG"), [WHITE] * 2),
    "transparent": (encoded(Image.new("RGBA", (2, 1), (255, 0, 0, 128)), "PNG"), [(255, 127, 127)] * 2),
    "opaque": (encoded(Image.new("RGBA", (2, 1), (*RED, 255)), "PNG"), [RED] * 2),
    "palette": (encoded(Image.new("P", (2, 1), 0), "GIF"), [(0, 0, 0)] * 2),
    "palette with alpha": (transparent_palette(), [RED, WHITE]),
    "colour key": (encoded(Image.new("RGB", (2, 1), RED), "PNG", transparency=RED), [WHITE] * 2),
    "one bit": (encoded(Image.new("1", (2, 1), 1), "PNG"), [WHITE] * 2),
    "CMYK": (encoded(Image.new("CMYK", (2, 1), (0, 255, 255, 0)), "TIFF"), [RED] * 2),
    "16-bit PGM": (b"P5 2 1 65535\n\x00\x00\xff\xff", [(0, 0, 0), WHITE]),
    "16-bit TIFF": (encoded(Image.fromarray(np.array([[0, 0x7F80]], np.uint16)), "TIFF"), [(0, 0, 0), (127, 127, 127)]),
    "1 x 1": (encoded(Image.new("RGB", (1, 1), RED), "BMP"), [RED]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_become_rgb(name: str) -> None:
    content, expected = ODD[name]
    image = decode(content)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, [expected])


def test_cmyk_jpeg_is_not_inverted() -> None:
    image = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100))
    assert np.abs(image - np.array(RED)).max() < 8


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_scaled(channels: int) -> None:
    values = np.linspace(0, 65535, 3000).astype(np.uint16)
    deep = np.repeat(values[None, :, None], channels, axis=2)
    if channels == 4:
        deep[:, :, 3] = 65535
    image = decode(cv2.imencode(".png", deep)[1].tobytes())
    assert image.shape == (1, 3000, 3)
    assert np.abs(image - values[None, :, None] / 257).max() < 1
    assert (image[0, 0], image[0, -1]) == (pytest.approx([0, 0, 0]), pytest.approx([255, 255, 255]))


def header(width: int, height: int) -> bytes:
    """A PNG that promises this size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0"))
    )


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    start = time.perf_counter()
    with pytest.raises(UserError, match="Expected at most 256,000,000 pixels in picture, found 20,000 x 20,000; scale it down"):
        decode(header(20_000, 20_000))
    assert time.perf_counter() - start < 0.5
    assert Image.MAX_IMAGE_PIXELS is not None  # it is everyone's


def test_the_largest_picture_is_the_callers_choice() -> None:
    content = encoded(Image.fromarray(gradient()), "PNG")
    assert decode(content, 12 * 20).shape == (12, 20, 3)
    with pytest.raises(UserError, match="at most 239 pixels"):
        decode(content, 12 * 20 - 1)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_half_a_picture_is_refused(form: str) -> None:
    content = encoded(NOISE, form)
    with pytest.raises(UserError, match=r"Expected .* in picture, found .*; "):
        decode(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"Dear diary", "nothing that can be read as one"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "nothing that can be read as one"),
        (encoded(Image.new("F", (3, 2)), "TIFF"), "Pillow's mode F"),
        (encoded(Image.new("I", (3, 2)), "TIFF"), "Pillow's mode I"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=f"Expected .* in .*a.png, found {found}.*; "):
        pictures.read(tmp_path / "a.png")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(UserError, match=f"Expected a picture at {path}, found that it can't be opened"):
            pictures.read(path)


SMALL = [encoded(NOISE.resize((9, 7)), form) for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")]


@given(content=st.sampled_from(SMALL), changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_give_a_picture_or_a_sentence(content: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(content)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    try:
        image = decode(bytes(damaged), 10_000)
    except UserError as error:
        assert "found" in str(error)  # noqa: PT017
    else:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_only_rgb_is_written(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"Expected a uint8 or uint16 image of shape \(H, W, 3\), found"):
        pictures.write(tmp_path / "a.png", image)
    assert not list(tmp_path.iterdir())


def test_a_name_or_a_size_that_the_format_has_no_room_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"to end in .png .jpg .jpeg .webp .tif .tiff .bmp .ppm .pgm, found .*a.gif"):
        pictures.write(tmp_path / "a.gif", gradient())
    for name in ("a.webp", "a.jpg"):
        with pytest.raises(UserError, match="Expected"):
            pictures.write(tmp_path / name, np.zeros((70_000, 1, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_what_systems_hide_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("My Music", "Own icon", "Photos Library.photoslibrary", "lost+found", "seen"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    attributes = {"My Music": stat.FILE_ATTRIBUTE_HIDDEN, "Own icon": stat.FILE_ATTRIBUTE_SYSTEM}
    scandir = os.scandir

    @contextmanager
    def of_windows(folder: Path) -> Iterator[list[SimpleNamespace]]:
        with scandir(folder) as entries:
            yield [
                SimpleNamespace(
                    name=each.name,
                    is_dir=each.is_dir,
                    is_file=each.is_file,
                    stat=lambda follow_symlinks, name=each.name: SimpleNamespace(st_file_attributes=attributes.get(name, 0)),
                )
                for each in entries
            ]

    windows = SimpleNamespace(name="nt", scandir=of_windows, path=os.path)
    monkeypatch.setattr(sys.modules["pellucid.pictures.find"], "os", windows)
    assert list(pictures.find([tmp_path])) == [tmp_path / "Own icon" / "a.png", tmp_path / "seen" / "a.png"]


def test_find_walks_folders_in_order_and_takes_files_at_their_word(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "deep/er/c.webp", ".git/d.png", "scan.dat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    actual = list(pictures.find([tmp_path / "scan.dat", tmp_path]))
    assert [path.relative_to(tmp_path).as_posix() for path in actual] == ["scan.dat", "a.jpg", "b.PNG", "deep/er/c.webp"]


def test_find_complains_before_any_work_is_done(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"Expected a picture or a folder at .*missing, found nothing there"):
        pictures.find([tmp_path / "a.png", tmp_path / "missing"])
    with pytest.raises(UserError, match=r"found nothing there"):
        pictures.find([tmp_path / ("long" * 100)])
    with pytest.raises(UserError, match=r"Expected pictures .* in the folder .*empty, found none"):
        pictures.find([tmp_path / "a.png", tmp_path / "empty"])
    with pytest.raises(
        UserError, match=r"Expected pictures \(.*\.png .*\)"
    ) as refused:  # of formats that are reported as errors, none is expected
        pictures.find([tmp_path / "empty"], pictures.ENDINGS | pictures.UNREAD.keys())
    assert not any(f"{ending} " in str(refused.value) for ending in pictures.UNREAD)
