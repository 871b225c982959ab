"""DICOM: as a radiologist's screen shows it. The files are pydicom's own."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid import pictures
from pellucid.errors import UserError

pydicom = pytest.importorskip("pydicom")
from pydicom.data import get_testdata_file  # noqa: E402


def shipped(name: str) -> Path:
    """A file that comes with pydicom; others it would download."""
    return Path(str(get_testdata_file(name, download=False)))


def changed(path: Path, **values: Any) -> Path:
    """The MR image of pydicom's with other values."""
    dataset = pydicom.dcmread(shipped("MR_small.dcm"))
    for name, value in values.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def values() -> Any:
    return pydicom.dcmread(shipped("MR_small.dcm")).pixel_array.astype(float)


def test_the_window_is_applied(tmp_path: Path) -> None:
    picture = pictures.load(changed(tmp_path / "a.dcm", WindowCenter=600, WindowWidth=1000))
    assert (picture.pixels.dtype, picture.grey) == (np.uint16, True)
    expected = np.clip((values() - 100) / 999, 0, 1) * 65535  # PS3.3, C.11.2.1.2.1: from 599.5 - 499.5
    assert np.abs(picture.pixels - expected[:, :, None]).max() <= 1
    assert picture.notes == ("window: centre 600, width 1000",)


def test_other_functions_of_the_window(tmp_path: Path) -> None:
    exact = pictures.load(changed(tmp_path / "a.dcm", WindowCenter=600, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT"))
    assert np.abs(exact.pixels[:, :, 0] - np.clip((values() - 100) / 1000, 0, 1) * 65535).max() <= 1
    soft = pictures.load(changed(tmp_path / "a.dcm", WindowCenter=600, WindowWidth=1000, VOILUTFunction="SIGMOID"))
    assert np.abs(soft.pixels[:, :, 0] - 65535 / (1 + np.exp(-4 * (values() - 600) / 1000))).max() <= 1


def test_the_window_of_an_enhanced_file_is_that_of_its_first_frame(tmp_path: Path) -> None:
    def group(name: str, **values: float) -> Any:
        inner, outer = pydicom.Dataset(), pydicom.Dataset()
        for key, value in values.items():
            setattr(inner, key, value)
        setattr(outer, name, [inner])
        return outer

    shared = group("PixelValueTransformationSequence", RescaleSlope=2, RescaleIntercept=-100)
    frames = [group("FrameVOILUTSequence", WindowCenter=centre, WindowWidth=2001) for centre in (1000, 9)]
    path = changed(
        tmp_path / "a.dcm",
        WindowCenter=None,
        WindowWidth=None,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )
    picture = pictures.load(path)
    assert picture.notes == ("window: centre 1000, width 2001",)
    expected = np.clip((2 * values() - 100 + 0.5) / 2000, 0, 1) * 65535
    assert np.abs(picture.pixels - expected[:, :, None]).max() <= 1


def test_a_size_of_two_values_is_a_damaged_file(tmp_path: Path) -> None:
    content = bytearray(shipped("MR_small.dcm").read_bytes())
    place = content.index(b"\x28\x00\x10\x00US\x02\x00") + 6  # the length of Rows
    path = tmp_path / "a.dcm"
    path.write_bytes(content[:place] + b"\x04\x00\x40\x00" + content[place + 2 :])
    with pytest.raises(UserError, match="cut short or damaged"):
        pictures.load(path)


def test_a_picture_for_which_the_memory_is_too_small_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pydicom.pixels.pixel_array", fail)
    with pytest.raises(UserError, match="Expected memory"):
        pictures.load(shipped("MR_small.dcm"))


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    plain = pictures.load(changed(tmp_path / "a.dcm", WindowCenter=600, WindowWidth=1000))
    inverted = pictures.load(changed(tmp_path / "b.dcm", WindowCenter=600, WindowWidth=1000, PhotometricInterpretation="MONOCHROME1"))
    assert np.abs(65535 - plain.pixels.astype(int) - inverted.pixels).max() <= 1
    assert inverted.notes == ("window: centre 600, width 1000; inverted, since 0 is white",)


def test_without_a_window_the_range_is_shown_without_padding() -> None:
    picture = pictures.load(shipped("CT_small.dcm"))
    stored = pydicom.dcmread(shipped("CT_small.dcm"))
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 65535)
    used = stored.pixel_array[stored.pixel_array != stored.PixelPaddingValue] * stored.RescaleSlope + stored.RescaleIntercept
    assert picture.notes == (f"no window: values {used.min():g} to {used.max():g} are black to white",)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("MR_small_RLE.dcm", (64, 64, 3)), ("SC_rgb_rle.dcm", (100, 100, 3)), ("SC_rgb_rle_16bit.dcm", (100, 100, 3)), ("JPEG2000.dcm", None)],
)
def test_compressed_and_coloured_files(name: str, shape: tuple[int, ...] | None) -> None:
    picture = pictures.load(shipped(name))
    assert picture.grey == (name[:2] != "SC")
    assert shape is None or picture.pixels.shape == shape
    if name == "MR_small_RLE.dcm":
        np.testing.assert_array_equal(picture.pixels, pictures.load(shipped("MR_small.dcm")).pixels)
    if name == "SC_rgb_rle_16bit.dcm":
        assert (pictures.read(shipped(name)) == pictures.read(shipped("SC_rgb_rle.dcm"))).all()


def test_of_several_frames_the_first_counts() -> None:
    picture = pictures.load(shipped("SC_rgb_rle_2frame.dcm"))
    assert picture.notes == ("first of 2 frames",)
    np.testing.assert_array_equal(picture.pixels, pictures.load(shipped("SC_rgb_rle.dcm")).pixels)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("reportsi.dcm", "Expected a DICOM file with pixels in .*, found one without, such as a report; leave it out"),
        ("MR_truncated.dcm", "Expected a whole DICOM picture in .*, found one that is cut short or damaged"),
        ("SC_rgb_rle_32bit.dcm", "Expected DICOM pixels of grey or RGB with 8 or 16 bits, found RGB of 32 bits"),
        ("MR_small_jpeg_ls_lossless.dcm", "Expected DICOM pixels that pydicom can decode in .*, found JPEG-LS .*; install pylibjpeg"),
    ],
)
def test_what_is_no_picture_is_refused(name: str, found: str) -> None:
    with pytest.raises(UserError, match=found):
        pictures.load(shipped(name))


def test_a_large_one_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(UserError, match=r"Expected at most 100 pixels in .*, found 64 x 64"):
        pictures.load(shipped("MR_small.dcm"), max_pixels=100)


def test_files_are_found_whatever_they_are_called(tmp_path: Path) -> None:
    content = shipped("MR_small.dcm").read_bytes()
    for name in ("IM0001", "1.2.840.113", "a.dicom", "b.dcm"):
        (tmp_path / name).write_bytes(content)
    for name in ("README", "1.5", "c.dicom"):
        (tmp_path / name).write_text("no such thing")
    assert sorted(path.name for path in pictures.find([tmp_path])) == ["1.2.840.113", "IM0001", "a.dicom", "b.dcm"]


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shipped("MR_small.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r'Expected pydicom for the DICOM file .*, found none; install it: pip install "pellucid\[dicom\]"'):
        pictures.load(path)


@pytest.mark.parametrize("form", ["jpeg2000", "rle"])
def test_a_compressed_frame_of_another_size_is_not_decoded(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = pydicom.dcmread(shipped("JPEG2000.dcm" if form == "jpeg2000" else "MR_small_RLE.dcm"))
    dataset.Rows = dataset.Columns = 8
    dataset.save_as(tmp_path / "a.dcm")
    monkeypatch.setattr("pydicom.pixels.pixel_array", lambda *_, **__: pytest.fail("decoded"))
    reason = "a frame of .* pixels in a file of 8 x 8" if form == "jpeg2000" else "longer than its pixels"
    with pytest.raises(UserError, match=reason):
        pictures.load(tmp_path / "a.dcm")
