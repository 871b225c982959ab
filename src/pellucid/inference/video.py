"""Restores a video frame by frame, through OpenCV."""

import errno
import math
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from pellucid import files
from pellucid.ahead import Reserve, read_ahead
from pellucid.errors import UserError, out_of_memory
from pellucid.inference.lines import COUNTED, NOT_FINITE, RESTORED, UNCERTAINTY, Line, error_line, prediction_fields
from pellucid.inference.maps import draw_map, uncertainty_map
from pellucid.inference.predictor import Predictor
from pellucid.inference.schema import VERSION
from pellucid.pictures import VIDEOS, Pixels

MISSING = 0.02
"""Fraction of the stated frames that may be missing: some containers state only the duration."""


def restore_video(path: Path, target: PurePosixPath, predictor: Predictor, out: Path, uncertainty: bool = False) -> Iterator[Line]:
    """Yield a line for each frame, with its index, then one for the video, once it is written to `out`.

    The restored video has the frame rate, number and size of the frames (codecs drop an odd row or column), and no sound; a varying rate
    becomes constant, and pixels become square, which its notes say. The line of the video counts the frames that were left unchanged, have
    no sure class, or an alarm. For a video that can't be opened, or ends early, the last line is an error. uncertainty: also write a video
    of the uncertainty maps.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are reported in the line
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # without a warning for each frame that does not fit on a full disk
    try:
        with _capture(path) as capture:
            yield from _restore(capture, path, target, predictor, out, uncertainty)
    except UserError as error:
        code = "not_finite" if str(error) == NOT_FINITE else "unwritable" if isinstance(error.__cause__, OSError) else "unreadable"
        yield error_line(path, code, str(error))
    except MemoryError:
        yield error_line(path, "out_of_memory", str(out_of_memory(f"the frames of {path}")))


@contextmanager
def _capture(path: Path) -> Iterator[Any]:
    """Open a video to read."""
    capture = cv2.VideoCapture(_name(path))
    try:
        yield capture
    finally:
        capture.release()


def _name(path: Path) -> str:
    """The path as OpenCV takes it: absolute, since `12:30.mp4` looks like an address, and in UTF-8."""
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"Expected a video whose path is in UTF-8, which OpenCV needs, found {path}; rename it.") from error
    return name


def _restore(capture: Any, path: Path, target: PurePosixPath, predictor: Predictor, out: Path, uncertainty: bool) -> Iterator[Line]:
    rate = capture.get(cv2.CAP_PROP_FPS)
    read, frame = capture.read() if capture.isOpened() else (False, np.empty((0, 0, 3), np.uint8))
    if not read or not (math.isfinite(rate) and rate > 0):
        raise UserError(f"Expected a video that OpenCV can decode in {path}, found none; convert it to MP4, or copy it again.")
    promised = min(capture.get(cv2.CAP_PROP_FRAME_COUNT), rate * _played_seconds(path))
    height, width = frame.shape[:2]
    compression = VIDEOS[path.suffix.lower()][1]
    size = min(predictor.batch_size, max(1, predictor.max_pixels // (height * width)))
    written = {"restored": f"{RESTORED}/{target}"} | ({"uncertainty": f"{UNCERTAINTY}/{target}"} if uncertainty else {})
    num_frames, counts = 0, dict.fromkeys(COUNTED, 0)

    started = played = _seconds(capture)

    def read_batch(number: int, _reserve: Reserve) -> list[Pixels]:
        nonlocal played
        frames = [frame] if number == 0 else []
        while len(frames) < size and (following := capture.read())[0]:
            if following[1].shape != frame.shape:
                raise UserError(f"Expected frames of one size in {path}, found another size within it; convert it, or cut it there.")
            frames.append(following[1])
            played = _seconds(capture)
        return [cv2.cvtColor(each, cv2.COLOR_BGR2RGB) for each in frames]

    with ExitStack() as stack:
        writers: list[Callable[[Pixels], None]] = []
        pool = writing = None
        for frames in stack.enter_context(closing(read_ahead(count(), read_batch, 1, 2))):
            if not frames:
                break
            predictions = predictor.predict(frames)
            if any(prediction.broken for prediction in predictions):
                raise UserError(NOT_FINITE)
            restored = [prediction.restored for prediction in predictions if prediction.restored is not None]
            if restored:
                if pool is None or writing is None:
                    writers = [stack.enter_context(_open(out / name, path, rate, (width, height))) for name in written.values()]
                    pool = stack.enter_context(ThreadPoolExecutor(1))  # after the writers, to end before they do
                else:
                    writing.result()
                writing = pool.submit(_write, writers, frames, restored)
            for prediction in predictions:
                line = prediction_fields(prediction)
                for name in counts:
                    counts[name] += bool(line.get(name))
                yield {"path": str(path), "frame": num_frames, **line}
                num_frames += 1
        if writing is not None:
            writing.result()
        mean_rate = (num_frames - 1) / (played - started) if played > started else rate
        varies = abs(mean_rate / rate - 1) > MISSING + 1 / num_frames
        estimated = path.suffix.lower() == ".mkv"  # there OpenCV computes the number of frames from the duration and the largest rate
        if num_frames < promised * (1 - MISSING) - 1 and not (estimated and varies):
            raise UserError(
                f"Expected {promised:,.0f} frames in {path}, found {num_frames:,} that can be decoded; copy it again, or convert it."
            )
    notes = [compression, "without sound"] + ["an odd row or column is lost"] * bool(height % 2 or width % 2)
    notes += [f"{rate:.4g} frames a second instead of a varying rate, {mean_rate:.4g} in the mean"] * varies
    across, down = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    notes += [f"pixels of {across:g}:{down:g} became square"] * (across > 0 and down > 0 and across != down)
    yield {
        "path": str(path),
        "schema": VERSION,
        "frames": num_frames,
        "fps": rate,
        **(written if writers else dict.fromkeys(written)),
        "counts": counts,
        "notes": notes if writers else [],
    }


def _seconds(capture: Any) -> float:
    """The time of the last frame that was read."""
    return float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000


def _played_seconds(path: Path) -> float:
    """The duration of an MP4 or MOV file in seconds; infinite for other files, and where it is not stated.

    Phones trim a video by an edit list: OpenCV counts the frames that it leaves out, but does not decode them.
    """
    with path.open("rb") as stream:
        while len(head := stream.read(8)) == 8:
            size, kind = int.from_bytes(head[:4]), head[4:]
            if kind == b"moov":  # ISO/IEC 14496-12, 8.2.1 and 8.2.2
                header = stream.read(1024).partition(b"mvhd")[2]  # its first part
                layout = ">20xIQ" if header[:1] == b"\1" else ">12xII"
                scale, duration = struct.unpack_from(layout, header) if len(header) >= struct.calcsize(layout) else (0, 0)
                return duration / scale if scale and duration else math.inf
            skipped = int.from_bytes(stream.read(8)) - 16 if size == 1 else size - 8
            if skipped < 0:
                break
            stream.seek(skipped, os.SEEK_CUR)
    return math.inf


@contextmanager
def _open(target: Path, source: Path, rate: float, size: tuple[int, int]) -> Iterator[Callable[[Pixels], None]]:
    """Open the video `target`, with the codec for files like `source`, and yield the function that adds a frame to it.

    size: width and height. OpenCV reports no error of writing, so the finished file is read to see whether all frames are in it.
    """
    num_frames = 0

    def add(frame: Pixels) -> None:
        nonlocal num_frames
        writer.write(frame)
        num_frames += 1

    code = VIDEOS[source.suffix.lower()][0]
    with files.atomic_write(target) as temporary:
        writer = cv2.VideoWriter(_name(temporary), cv2.VideoWriter.fourcc(*code), rate, size)
        try:
            if not writer.isOpened():
                raise UserError(f"Expected an OpenCV that can write {code} for {source}, found one that can't; install its wheel.")
            yield add
        finally:
            writer.release()
        with _capture(temporary) as written:
            if written.get(cv2.CAP_PROP_FRAME_COUNT) < num_frames * (1 - MISSING) - 1:
                raise OSError(errno.EIO, "not all frames were written")


def _write(writers: Sequence[Callable[[Pixels], None]], frames: Sequence[Pixels], restored: Sequence[Pixels]) -> None:
    """Write the restored frames and, if there is a second writer, their uncertainty maps."""
    for frame, after in zip(frames, restored, strict=True):
        writers[0](cv2.cvtColor(after, cv2.COLOR_RGB2BGR))
        for add in writers[1:]:
            add(draw_map(uncertainty_map(frame, after)))
