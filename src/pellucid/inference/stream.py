"""Streams pictures through a predictor, in order: reading, computing and writing overlap, and what is in memory is bounded."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import torch

from pellucid import pictures
from pellucid.ahead import Reserve, read_ahead
from pellucid.errors import UserError
from pellucid.inference.prediction import Prediction
from pellucid.inference.predictor import Predictor
from pellucid.pictures import Picture

Saved = TypeVar("Saved")

PIXELS_AHEAD = 32_000_000
"""Pixels that may wait for the network, and as many for being written: 96 MB each of 8 bits."""

MAX_THREADS = 8
"""Threads that read, and as many that write, where there are so many cores; decoding and encoding leave Python's lock to others."""


class Predicted(NamedTuple):
    """A picture from `path`, and what the model says of it; `target` is where its restored picture belongs."""

    path: Path
    target: PurePosixPath
    picture: Picture
    prediction: Prediction


class Failure(NamedTuple):
    """Why there is no prediction."""

    path: Path
    error: UserError


class _Loaded(NamedTuple):
    path: Path
    target: PurePosixPath
    picture: Picture


def stream(
    asked: Iterable[tuple[Path, PurePosixPath]], predictor: Predictor, save: Callable[[Predicted | Failure], Saved]
) -> Iterator[Saved]:
    """What `save` returns for the prediction or the failure of each picture that is `asked` for, by its path and target, in order.

    `save` is called in several threads.
    """
    num_threads = min(MAX_THREADS, max(2, os.cpu_count() or 1))
    pool = ThreadPoolExecutor(num_threads)
    saving: deque[tuple[Future[Saved], int]] = deque()
    num_pixels = 0
    try:
        loaded = read_ahead(asked, _load, num_threads, 2 * predictor.batch_size, PIXELS_AHEAD)
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


def _load(asked: tuple[Path, PurePosixPath], reserve: Reserve) -> _Loaded | Failure:
    path, target = asked
    try:
        return _Loaded(path, target, pictures.load(path, reserve=reserve))
    except UserError as error:
        return Failure(path, error)
    except MemoryError:
        return Failure(path, UserError(f"Expected memory for the picture {path}, found too little; scale it down."))


def _chunks(loaded: Iterable[_Loaded | Failure], predictor: Predictor) -> Iterator[list[_Loaded | Failure]]:
    """Neighbours, until there are as many as may go through the network at once."""
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
    """Of all at once or, where the memory is not enough for that, one by one."""
    try:
        predictions = predictor.predict([each.picture.pixels for each in chunk])
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)):
            raise
        if len(chunk) > 1:
            for each in chunk:
                yield from _predictions([each], predictor)
            return
        height, width, _ = chunk[0].picture.pixels.shape
        yield Failure(
            chunk[0].path, UserError(f"Expected memory for a picture of {width:,} x {height:,} pixels, found too little; scale it down.")
        )
        return
    for each, prediction in zip(chunk, predictions, strict=True):
        yield Predicted(*each, prediction)
