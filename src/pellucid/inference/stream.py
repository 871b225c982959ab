"""Streams pictures through a predictor, in order: reading, computing and writing overlap, in bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from pellucid import pictures
from pellucid.ahead import Reserve, read_ahead
from pellucid.errors import UserError
from pellucid.inference.prediction import Prediction
from pellucid.inference.predictor import Predictor
from pellucid.pictures import Picture

Saved = TypeVar("Saved")

PIXELS_AHEAD = 32_000_000
"""Maximum number of pixels that wait for the network, and of pixels that wait to be written: 96 MB each with 8 bits."""

MAX_THREADS = 8
"""Maximum number of threads for reading, and for writing; decoding and encoding release Python's global lock."""


class Predicted(NamedTuple):
    """A picture and its prediction; path: its file; target: path of the restored picture, relative to its folder."""

    path: Path
    target: PurePosixPath
    picture: Picture
    prediction: Prediction


class Failure(NamedTuple):
    """The error of a picture without a prediction; code: a key of `schema.ERRORS`."""

    path: Path
    error: UserError
    code: str = "unreadable"


class _Loaded(NamedTuple):
    path: Path
    target: PurePosixPath
    picture: Picture


def stream(
    inputs: Iterable[tuple[Path, PurePosixPath]], predictor: Predictor, save: Callable[[Predicted | Failure], Saved]
) -> Iterator[Saved]:
    """Yield `save(prediction or failure)` for each picture, in order.

    inputs: path and target of each picture; save: called in several threads.
    """
    num_threads = min(MAX_THREADS, max(2, os.cpu_count() or 1))
    pool = ThreadPoolExecutor(num_threads)
    saving: deque[tuple[Future[Saved], int]] = deque()
    num_pixels = 0
    try:
        loaded = read_ahead(inputs, _load, num_threads, 2 * predictor.batch_size, PIXELS_AHEAD)
        for chunk in _chunks(loaded, predictor):
            for each in _predict(chunk, predictor):
                pixels = each.picture.pixels.size // 3 if isinstance(each, Predicted) else 0
                saving.append((pool.submit(save, each), pixels))
                num_pixels += pixels
            while saving and (saving[0][0].done() or num_pixels > PIXELS_AHEAD or len(saving) > 2 * predictor.batch_size):
                saved, pixels = saving.popleft()
                num_pixels -= pixels
                yield saved.result()
        while saving:
            yield saving.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _load(source: tuple[Path, PurePosixPath], reserve: Reserve) -> _Loaded | Failure:
    path, target = source
    try:
        return _Loaded(path, target, pictures.load(path, reserve=reserve))
    except UserError as error:
        return Failure(path, error)
    except MemoryError:
        return Failure(path, UserError(f"Expected memory for the picture {path}, found too little; scale it down."), "out_of_memory")


def _chunks(loaded: Iterable[_Loaded | Failure], predictor: Predictor) -> Iterator[list[_Loaded | Failure]]:
    """Group consecutive pictures into batches of the predictor."""
    chunk: list[_Loaded | Failure] = []
    num_pixels = 0
    for each in loaded:
        chunk.append(each)
        num_pixels += each.picture.pixels.size // 3 if isinstance(each, _Loaded) else 0
        if len(chunk) == predictor.batch_size or num_pixels >= predictor.max_pixels:
            yield chunk
            chunk, num_pixels = [], 0
    if chunk:
        yield chunk


def _predict(chunk: Sequence[_Loaded | Failure], predictor: Predictor) -> Iterator[Predicted | Failure]:
    predictions = _predictions([each for each in chunk if isinstance(each, _Loaded)], predictor)
    for each in chunk:
        yield next(predictions) if isinstance(each, _Loaded) else each


def _predictions(chunk: Sequence[_Loaded], predictor: Predictor) -> Iterator[Predicted | Failure]:
    """Predict all at once or, if memory is insufficient, one by one."""
    try:
        predictions = predictor.predict([each.picture.pixels for each in chunk])
    except MemoryError:
        if len(chunk) > 1:
            for each in chunk:
                yield from _predictions([each], predictor)
            return
        height, width, _ = chunk[0].picture.pixels.shape
        yield Failure(
            chunk[0].path,
            UserError(f"Expected memory for a picture of {width:,} x {height:,} pixels, found too little; scale it down."),
            "out_of_memory",
        )
        return
    for each, prediction in zip(chunk, predictions, strict=True):
        yield Predicted(*each, prediction)
