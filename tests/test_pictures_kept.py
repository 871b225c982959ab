"""What a picture was like comes back when it is written: depth, grey, alpha, colour profile, dpi, and the values of a narrow range."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pellucid import pictures
from pellucid.errors import UserError
from pellucid.pictures import Picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]
KINDS = ("grey", "colours", "grey and alpha", "colours and alpha")


def example(kind: str, dtype: type) -> Picture:
    random = np.random.default_rng(0)
    pixels = random.integers(0, np.iinfo(dtype).max, (7, 11, 3), dtype, endpoint=True)
    pixels[0, 0] = np.iinfo(dtype).max
    grey = kind.startswith("grey")
    if grey:
        pixels = pixels[:, :, :1].repeat(3, axis=2)
    alpha = random.integers(np.iinfo(dtype).max // 99, np.iinfo(dtype).max, (7, 11), dtype) if "alpha" in kind else None
    return Picture(pixels, grey, alpha, profile=GREY_PROFILE if grey else SRGB, dpi=(300.0, 200.0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_png_and_tiff_keep_all(tmp_path: Path, ending: str, kind: str, dtype: type) -> None:
    picture = example(kind, dtype)
    pictures.write(tmp_path / f"a{ending}", picture)
    back = pictures.load(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(back.pixels, picture.pixels)
    assert back.pixels.dtype == dtype
    assert (back.alpha is None) == (picture.alpha is None)
    if picture.alpha is not None and back.alpha is not None:
        np.testing.assert_array_equal(back.alpha, picture.alpha)
    if not (kind == "grey and alpha" and dtype == np.uint16):  # stored with three equal channels
        assert back.grey == picture.grey
        assert back.profile == picture.profile
    assert back.dpi == pytest.approx(picture.dpi, abs=0.02)
    assert (back.window, back.notes) == (None, ())


@pytest.mark.parametrize(
    ("ending", "kind", "dtype"),
    [
        (".webp", "colours and alpha", np.uint8),
        (".bmp", "grey", np.uint8),
        (".bmp", "colours", np.uint8),
        (".ppm", "colours", np.uint8),
        (".ppm", "colours", np.uint16),
        (".pgm", "grey", np.uint8),
        (".pgm", "grey", np.uint16),
    ],
)
def test_other_formats_without_loss_keep_what_they_can(tmp_path: Path, ending: str, kind: str, dtype: type) -> None:
    picture = example(kind, dtype)
    pictures.write(tmp_path / f"a{ending}", picture)
    back = pictures.load(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(back.pixels, picture.pixels)
    assert back.grey == picture.grey
    if picture.alpha is not None and back.alpha is not None:
        np.testing.assert_array_equal(back.alpha, picture.alpha)
    assert back.profile == (picture.profile if ending == ".webp" else None)


def test_alpha_in_a_bitmap(tmp_path: Path) -> None:
    picture = example("colours and alpha", np.uint8)
    pictures.write(tmp_path / "a.bmp", picture)
    stored = cv2.imread(str(tmp_path / "a.bmp"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored[:, :, [2, 1, 0]], picture.pixels)
    np.testing.assert_array_equal(stored[:, :, 3], picture.alpha)


def test_formats_that_hold_less_get_less(tmp_path: Path) -> None:
    deep = example("colours and alpha", np.uint16)
    pictures.write(tmp_path / "a.webp", deep)
    back = pictures.load(tmp_path / "a.webp")
    np.testing.assert_array_equal(back.pixels, deep.pixels >> 8)
    pictures.write(tmp_path / "a.jpg", deep)  # no alpha: laid on white
    assert np.abs(pictures.read(tmp_path / "a.jpg").astype(int) - deep.on_white()).mean() < 40


def stored(path: Path) -> NDArray[Any]:
    """The values in a file, as they are."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_values_of_few_bits_are_stretched_and_come_back(tmp_path: Path, ending: str, bits: int) -> None:
    values = np.arange(2**bits, dtype=np.uint16).reshape(16, -1)
    cv2.imwrite(str(tmp_path / f"a{ending}"), values)
    picture = pictures.load(tmp_path / f"a{ending}")
    assert picture.grey
    assert picture.window == (0, 2**bits - 1)
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 65535)
    assert len(np.unique(picture.pixels)) == 2**bits
    assert picture.notes == (f"16-bit values 0 to {2**bits - 1:,} are black to white",)
    assert len(np.unique(pictures.read(tmp_path / f"a{ending}"))) == 256
    pictures.write(tmp_path / f"b{ending}", picture)
    np.testing.assert_array_equal(stored(tmp_path / f"b{ending}"), values)


def test_a_narrow_range_of_grey_is_stretched_and_comes_back(tmp_path: Path) -> None:
    values = (32768 - 1024 + np.arange(4096, dtype=np.uint16)).reshape(64, 64)  # CT, as 32,768 + HU
    cv2.imwrite(str(tmp_path / "a.png"), values)
    picture = pictures.load(tmp_path / "a.png")
    assert picture.window == (31744, 35839)
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 65535)
    pictures.write(tmp_path / "b.png", picture)
    np.testing.assert_array_equal(stored(tmp_path / "b.png"), values)
    colours = np.stack([values] * 3, axis=2)
    cv2.imwrite(str(tmp_path / "c.png"), colours)
    assert pictures.load(tmp_path / "c.png").window is None  # a sky at dusk, not a measurement
    flat = np.full((4, 4), 40_000, np.uint16)
    cv2.imwrite(str(tmp_path / "d.png"), flat)
    np.testing.assert_array_equal(pictures.load(tmp_path / "d.png").pixels, 40_000)


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    image.putpixel((1, 0), (10, 20, 30, 128))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    picture = pictures.decode_picture(stream, "a.png")
    np.testing.assert_array_equal(picture.pixels, [[(255, 255, 255), (10, 20, 30)]])
    np.testing.assert_array_equal(picture.alpha, [[0, 128]])
    np.testing.assert_array_equal(picture.on_white(), [[(255, 255, 255), (132, 137, 142)]])


def test_a_clear_value_of_deep_grey_is_alpha(tmp_path: Path) -> None:
    picture = example("grey", np.uint16)
    Image.fromarray(picture.pixels[:, :, 0]).save(tmp_path / "a.png", transparency=int(picture.pixels[2, 3, 0]))
    alpha = pictures.load(tmp_path / "a.png").alpha
    assert alpha is not None
    np.testing.assert_array_equal(alpha == 0, picture.pixels[:, :, 0] == picture.pixels[2, 3, 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_that_a_tiff_stores_multiplied_by_alpha_are_divided_by_it(tmp_path: Path, dtype: type) -> None:
    white = np.iinfo(dtype).max
    alpha = np.array([white, white // 2, white // 4], dtype)
    colours = np.array([white // 2, white // 3, white // 5])
    stored = np.column_stack([(colours * (alpha[:, None] / white)).round(), alpha]).astype(dtype)[None]
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    picture = pictures.load(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.alpha, [alpha])
    assert np.abs(picture.pixels - colours).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_zero_is_white_if_a_tiff_says_so(tmp_path: Path, dtype: type) -> None:
    picture = example("grey", dtype)
    tifffile.imwrite(tmp_path / "negative.tif", np.iinfo(dtype).max - picture.pixels[:, :, 0], photometric="miniswhite")
    np.testing.assert_array_equal(pictures.load(tmp_path / "negative.tif").pixels, picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_like_others(tmp_path: Path, orientation: int) -> None:
    pixels = example("colours", np.uint16).pixels
    shallow = Image.fromarray((pixels >> 8).astype(np.uint8))
    shallow.getexif()[0x0112] = orientation
    shallow.save(tmp_path / "shallow.tif", exif=shallow.getexif(), dpi=(300, 200))
    tifffile.imwrite(
        tmp_path / "deep.tif", pixels, photometric="rgb", resolution=(300, 200), resolutionunit="INCH",
        extratags=[(274, "H", 1, orientation, True)], metadata=None,
    )  # fmt: skip
    deep, upright = pictures.load(tmp_path / "deep.tif"), pictures.load(tmp_path / "shallow.tif")
    np.testing.assert_array_equal(deep.pixels >> 8, upright.pixels)
    assert deep.dpi == upright.dpi == ((300, 200) if orientation < 5 else (200, 300))


def encoded(image: Image.Image, form: str, **options: Any) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    stream.seek(0)
    return stream


FRAMES = [Image.new("L", (4, 4), shade) for shade in (10, 100, 200)]


@pytest.mark.parametrize(
    ("stream", "notes"),
    [
        (encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), ("first of 3 frames",)),
        (encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), ("first of 3 frames",)),
        (encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), ("first of 3 frames",)),
        (encoded(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]), ("first of 3 pages",)),
        (encoded(FRAMES[0], "TIFF"), ()),
        (encoded(Image.new("CMYK", (4, 4)), "TIFF", icc_profile=SRGB[:16] + b"CMYK" + SRGB[20:]), ("CMYK became RGB",)),
    ],
    ids=["GIF", "PNG", "WebP", "pages", "one page", "CMYK"],
)
def test_what_is_left_out_is_noted(stream: io.BytesIO, notes: tuple[str, ...]) -> None:
    picture = pictures.decode_picture(stream, "picture")
    assert picture.notes == notes
    assert picture.profile is None


@pytest.mark.parametrize("form", ["AVIF", "JPEG2000"])
def test_modern_formats_are_read(form: str) -> None:
    colours = Image.fromarray(example("colours", np.uint8).pixels).resize((40, 40))
    back = pictures.decode(encoded(colours, form, quality=95) if form == "AVIF" else encoded(colours, form), "picture")
    assert np.abs(back.astype(int) - np.asarray(colours)).mean() < 10


@pytest.mark.parametrize("channels", [1, 3])
def test_deep_jpeg_2000_keeps_its_depth(channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 40, channels), np.uint16)
    values[0, 0] = 65535
    picture = pictures.decode_picture(io.BytesIO(cv2.imencode(".jp2", values, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1]), "a.jp2")
    assert picture.pixels.dtype == np.uint16
    assert picture.grey == (channels == 1)
    assert np.abs(picture.pixels[:, :, ::-1].astype(int) - values).mean() < 3000


@pytest.mark.parametrize(("name", "found"), [("a.heic", "HEIC"), ("a.DNG", "a raw photograph"), ("a.jxl", "JPEG XL")])
def test_formats_that_are_not_read_are_named(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(UserError, match=f"found {found}; convert it or leave it out"):
        pictures.load(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm", "a.jp2"])
def test_half_of_a_deep_picture_is_refused(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / name), np.random.default_rng(0).integers(0, 65536, (40, 60, 3), np.uint16))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"Expected .*, found .*; "):
        pictures.load(tmp_path / name)


def test_only_rgb_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected a uint8 or uint16 image of shape \(H, W, 3\), found uint16"):
        pictures.write(tmp_path / "a.png", replace(example("grey", np.uint16), pixels=np.zeros((4, 4), np.uint16)))
