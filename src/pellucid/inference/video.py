"""Restores a video frame by frame, through OpenCV."""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid import files
from pellucid.ahead import Reserve, read_ahead
from pellucid.errors import UserError
from pellucid.inference.lines import NOT_FINITE, RESTORED, Line, error_line, prediction_fields
from pellucid.inference.predictor import Predictor
from pellucid.inference.schema import VERSION
from pellucid.pictures import VIDEOS

MISSING = 0.02
"""Fraction of the stated frames that may be missing: some containers state only the duration."""


def restore_video(path: Path, target: PurePosixPath, predictor: Predictor, out: Path) -> Iterator[Line]:
    """Yield a line for each frame, with its index, then one for the video, once it is written to `out`.

    The restored video has the frame rate, number and size of the frames (codecs drop an odd row or column), and no sound. For a video that
    can't be opened, or ends early, the last line is an error.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are reported in the line
    capture = cv2.VideoCapture(str(path))
    try:
        yield from _restore(capture, path, target, predictor, out)
    except UserError as error:
        code = "not_finite" if str(error) == NOT_FINITE else "unwritable" if isinstance(error.__cause__, OSError) else "unreadable"
        yield error_line(path, code, str(error))
    finally:
        capture.release()


def _restore(capture: Any, path: Path, target: PurePosixPath, predictor: Predictor, out: Path) -> Iterator[Line]:
    rate, promised = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    read, frame = capture.read() if capture.isOpened() else (False, np.empty((0, 0, 3), np.uint8))
    if not read or not (math.isfinite(rate) and rate > 0):
        raise UserError(f"Expected a video that OpenCV can decode in {path}, found none; convert it to MP4, or copy it again.")
    height, width = frame.shape[:2]
    code, compression = VIDEOS[path.suffix.lower()]
    size = min(predictor.batch_size, max(1, predictor.max_pixels // (height * width)))
    restored, num_frames = f"{RESTORED}/{target}", 0

    def read_batch(number: int, _reserve: Reserve) -> list[NDArray[np.uint8]]:
        frames = [frame] if number == 0 else []
        while len(frames) < size and (following := capture.read())[0]:
            frames.append(following[1])
        return [cv2.cvtColor(each, cv2.COLOR_BGR2RGB) for each in frames]

    with ExitStack() as stack:
        writer = pool = writing = None
        for frames in stack.enter_context(closing(read_ahead(count(), read_batch, 1, 2))):
            if not frames:
                break
            predictions = predictor.predict(frames)
            if any(prediction.broken for prediction in predictions):
                raise UserError(NOT_FINITE)
            if predictions[0].restored is not None:
                if pool is None or writing is None:
                    temporary = stack.enter_context(files.atomic_write(out / restored))
                    writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*code), rate, (width, height))
                    stack.callback(writer.release)
                    if not writer.isOpened():
                        raise UserError(f"Expected an OpenCV that can write {code} for {path}, found one that can't; install its wheel.")
                    pool = stack.enter_context(ThreadPoolExecutor(1))
                else:
                    writing.result()
                writing = pool.submit(_write, writer, [prediction.restored for prediction in predictions])
            for prediction in predictions:
                yield {"path": str(path), "frame": num_frames, **prediction_fields(prediction)}
                num_frames += 1
        if writing is not None:
            writing.result()
        if num_frames < promised * (1 - MISSING) - 1:
            raise UserError(
                f"Expected {promised:,.0f} frames in {path}, found {num_frames:,} that can be decoded; copy it again, or convert it."
            )
    notes = [compression, "without sound"] + ["an odd row or column is lost"] * bool(height % 2 or width % 2)
    written = writer is not None
    yield {
        "path": str(path),
        "schema": VERSION,
        "frames": num_frames,
        "fps": rate,
        "restored": restored if written else None,
        "notes": notes if written else [],
    }


def _write(writer: Any, frames: list[Any]) -> None:
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
