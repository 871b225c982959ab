"""DICOM files, through pydicom (extra `dicom`)."""

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import UserError, out_of_memory
from pellucid.pictures.opening import open_image, without_limit
from pellucid.pictures.picture import Picture

PREAMBLE, MAGIC = 128, b"DICM"

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax of compressed data sets: pydicom inflates all of one, up to 1,000 times the size of its file, to read its header."""


def starts_dicom(head: bytes) -> bool:
    """Whether the first bytes of a file are those of DICOM (PS3.10, section 7.1)."""
    return head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC


def is_dicom(path: Path) -> bool:
    """Whether the file is DICOM, by its content; false if it can't be read."""
    try:
        with path.open("rb") as stream:
            return starts_dicom(stream.read(PREAMBLE + len(MAGIC)))
    except OSError:
        return False


def decode_dicom(stream: IO[bytes], name: str, check_size: Callable[[int, int], None]) -> Picture:
    """The first frame of a DICOM file, as a viewer displays it; grey becomes 16 bits.

    Grey values are rescaled, windowed by the file's first VOI window or table, or, if it has none, from the smallest to the largest value
    without padding; MONOCHROME1, in which 0 is white, is inverted. The window is among the notes.

    check_size: called with width and height before the pixels are decoded. Raises `UserError` for a file without pixels, a compression that
    pydicom can't decode here, a damaged file, or without pydicom.
    """
    try:
        from pydicom import dcmread
        from pydicom.pixels import pixel_array
    except ImportError as error:
        raise UserError(f'Expected pydicom for the DICOM file {name}, found none; install it: pip install "pellucid[dicom]".') from error
    try:
        dataset = dcmread(stream, force=True)
        missing = any(name not in dataset for name in ("Columns", "Rows", "PixelData"))
        width, height = (0, 0) if missing else (int(dataset.Columns), int(dataset.Rows))
        kind = str(dataset.get("PhotometricInterpretation", ""))
        num_frames = int(dataset.get("NumberOfFrames") or 1)
    except Exception as error:  # damaged bytes make the reader raise nearly anything, here and below
        raise _damaged(name, error) from error
    if missing:
        raise UserError(f"Expected a DICOM file with pixels in {name}, found one without, such as a report; leave it out.")
    check_size(width, height)
    notes = (f"first of {num_frames:,} frames",) if num_frames > 1 else ()
    try:
        _check_frame(dataset, num_frames, width, height)
        values = pixel_array(dataset, index=0)
        _take_from_groups(dataset)
        if kind.startswith("MONOCHROME"):
            pixels, window = _grey(values, dataset)
            return Picture(np.repeat(pixels[:, :, None], 3, axis=2), grey=True, notes=(window, *notes))
        return Picture(_colours(values, dataset, kind), notes=notes)
    except (NotImplementedError, RuntimeError) as error:
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise UserError(
            f"Expected DICOM pixels that pydicom can decode in {name}, found {syntax}; install pylibjpeg and its plugins, or convert it."
        ) from error
    except Exception as error:
        raise _damaged(name, error) from error


def _check_frame(dataset: Any, num_frames: int, width: int, height: int) -> None:
    """Raise `ValueError` if the first compressed frame has another size than its file says: decoders allocate what the frame says."""
    from PIL import UnidentifiedImageError
    from pydicom.encaps import get_frame
    from pydicom.uid import RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=num_frames)
    if syntax == RLELossless:  # at most 129 bytes for 128 (PS3.5, annex G), and a header
        pixels = width * height * int(dataset.SamplesPerPixel) * -(-int(dataset.BitsAllocated) // 8)
        if len(frame) > 1024 + 1.1 * pixels:
            raise ValueError("its frame is longer than its pixels")
        return
    with suppress(UnidentifiedImageError), without_limit():  # pydicom has decoders of formats that Pillow lacks
        size = open_image(BytesIO(frame)).size
        if size != (width, height):
            raise ValueError(f"a frame of {size[0]:,} x {size[1]:,} pixels in a file of {width:,} x {height:,}")


def _take_from_groups(dataset: Any) -> None:
    """Copy the window and the rescaling of the first frame of an enhanced file (PS3.3, C.7.6.16) to where those of other files are."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in dataset.get(groups, ())[:1]:
            for name in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
                for values in group.get(name, ())[:1]:
                    dataset.update(values)


def _grey(stored: NDArray[Any], dataset: Any) -> tuple[NDArray[np.uint16], str]:
    """Stored values (H, W) -> pixels over all 16 bits, and a note on the window."""
    from pydicom.pixels import apply_rescale, apply_voi

    values = np.asarray(apply_rescale(stored, dataset), np.float32)
    function = str(dataset.get("VOILUTFunction", "LINEAR")).upper()
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        values = np.asarray(apply_voi(np.asarray(apply_rescale(stored, dataset)).round().astype(int), dataset, index=0), np.float32)
        low, high, words = 0.0, 2.0 ** int(table.LUTDescriptor[2]) - 1, "shown through its VOI table"
    elif dataset.get("WindowWidth") not in (None, "") and dataset.get("WindowCenter") not in (None, ""):
        centre, width = (float(np.atleast_1d(dataset[key].value)[0]) for key in ("WindowCenter", "WindowWidth"))
        words = f"window: centre {centre:g}, width {width:g}"
        if function == "SIGMOID":  # PS3.3, C.11.2.1.3.1
            values, low, high = 1 / (1 + np.exp(-4 * (values - centre) / width)), 0.0, 1.0
        elif function == "LINEAR_EXACT":
            low, high = centre - width / 2, centre + width / 2
        else:  # PS3.3, C.11.2.1.2.1
            low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    else:
        padding = dataset.get("PixelPaddingValue")
        used = values if padding is None or (stored == padding).all() else values[stored != padding]
        low, high = float(used.min()), float(used.max())
        words = f"no window: values {low:g} to {high:g} are black to white"
    shades = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shades, words = 1 - shades, f"{words}; inverted, since 0 is white"
    return (shades * 65535).round().astype(np.uint16), words


def _colours(values: NDArray[Any], dataset: Any, kind: str) -> NDArray[Any]:
    """RGB (H, W, 3) with 8 or 16 bits; pydicom has converted YCbCr."""
    from pydicom.pixels import apply_color_lut

    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)[..., :3]
        bits = 8 * values.itemsize
    else:
        bits = int(dataset.BitsStored)
    if values.ndim != 3 or values.shape[2] != 3 or bits > 16:
        raise UserError(f"Expected DICOM pixels of grey or RGB with 8 or 16 bits, found {kind} of {bits} bits; convert them to PNG first.")
    return values.astype(np.uint8) if bits <= 8 else values.astype(np.uint16) << (16 - bits)


def _damaged(name: str, error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    if isinstance(error, MemoryError):
        return out_of_memory(f"the picture in {name}")
    return UserError(f"Expected a whole DICOM picture in {name}, found one that is cut short or damaged ({error}); copy it again.")
