"""Streams pictures through a predictor, in order: reading, computing and writing overlap, in bounded memory."""

import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path, PurePosixPath
from typing import Generic, NamedTuple, TypeVar

from pellucid import pictures
from pellucid.ahead import Reserve, read_ahead
from pellucid.cores import num_cores
from pellucid.errors import UserError, out_of_memory
from pellucid.inference.cores import LARGE_PICTURE, num_batches, predict_on_cores
from pellucid.inference.prediction import Prediction
from pellucid.inference.predictor import Predictor
from pellucid.inference.workers import CAN_FORK, start_workers
from pellucid.pictures import Picture, Pixels

Saved = TypeVar("Saved")

Input = tuple[Path, PurePosixPath]
"""The path of a picture, and the target of its restored picture."""

Predict = Callable[[Sequence[Pixels]], list[Prediction]]

PIXELS_AHEAD = 32_000_000
"""Maximum number of pixels that wait for the network, and of pixels that wait to be written: 96 MB each with 8 bits."""

MAX_THREADS = 8
"""Maximum number of threads for reading, and for writing; decoding and encoding release Python's global lock."""

SMALL_FILE = 32_768
"""Bytes of a file up to which its picture is taken for a small one; more precisely, those of less than `LARGE_PICTURE` pixels are."""

MIN_GROUPS = 4
"""Minimum number of groups of small pictures for each core to be shared by processes; to fork one takes as long as about a group."""


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
    code: str


class _Loaded(NamedTuple):
    path: Path
    target: PurePosixPath
    picture: Picture


def stream(inputs: Iterable[Input], predictor: Predictor, save: Callable[[Predicted | Failure], Saved]) -> Iterator[Saved]:
    """Yield `save(prediction or failure)` for each picture, in order.

    inputs: path and target of each picture; save: called in several threads.
    """
    groups = _groups(inputs, predictor.batch_size)
    for small, blocks in groupby(groups, key=lambda group: all(map(_is_small, group))):
        if small:
            yield from _stream_small(blocks, predictor, save)
        else:
            yield from _stream_large(chain.from_iterable(blocks), predictor, save)


def _stream_small(groups: Iterable[Sequence[Input]], predictor: Predictor, save: Callable[[Predicted | Failure], Saved]) -> Iterator[Saved]:
    """Each worker reads, predicts and writes a group, since these tasks are too short to be handed over.

    Large pictures in small files are left to this thread and all cores.
    """
    groups, at_once = iter(groups), num_batches(predictor)
    first = list(islice(groups, MIN_GROUPS * at_once))
    forks = CAN_FORK and at_once > 1 and len(first) == MIN_GROUPS * at_once
    num_workers = at_once if forks else max(2, min(MAX_THREADS, num_cores()))  # also beside a GPU, all cores read and write
    predict = predictor.predict if forks else predict_on_cores(predictor, at_once)

    def process(group: Sequence[Input]) -> _Results[Saved]:
        saved: list[Saved | None] = []
        try:
            loaded = [_load_small(each) for each in group]
            predicted = _predict([each for each in loaded if each is not None], predict)
            saved.extend(None if each is None else save(next(predicted)) for each in loaded)
        except BaseException as error:
            if forks:
                error.add_note(traceback.format_exc())  # it is not pickled
            return _Results(saved, error)
        return _Results(saved)

    def unpack(group: Sequence[Input], results: _Results[Saved]) -> Iterator[Saved]:
        for source, saved in zip(group, results.saved, strict=False):
            if saved is not None:
                yield saved
                continue
            yield from map(save, _predict([_load(source)], predict))
        if results.error is not None:
            raise results.error

    running: deque[tuple[Sequence[Input], Future[_Results[Saved]]]] = deque()
    with start_workers(process, num_workers, forks) as submit:
        for group in chain(first, groups):
            running.append((group, submit(group)))
            if len(running) > 2 * num_workers:
                group, results = running.popleft()
                yield from unpack(group, results.result())
        for group, results in running:
            yield from unpack(group, results.result())


def _stream_large(inputs: Iterable[Input], predictor: Predictor, save: Callable[[Predicted | Failure], Saved]) -> Iterator[Saved]:
    """Reading, computing and writing in threads of their own."""
    num_threads = min(MAX_THREADS, max(2, num_cores()))
    pool = ThreadPoolExecutor(num_threads)
    saving: deque[tuple[Future[Saved], int]] = deque()
    num_pixels = 0
    loaded = read_ahead(inputs, _load, num_threads, 2 * predictor.batch_size, PIXELS_AHEAD)
    try:
        for chunk in _chunks(loaded, predictor):
            for each in _predict(chunk, predictor.predict):
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
        loaded.close()  # a traceback may keep it, with threads that wait for room and for which Python would wait at its end
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Results(Generic[Saved]):
    """What was saved of a group, up to an error; `None` for a large picture."""

    saved: Sequence[Saved | None]
    error: BaseException | None = None


class _LargeError(Exception):
    """A small file contains a large picture."""


def _groups(inputs: Iterable[Input], size: int) -> Iterator[list[Input]]:
    iterator = iter(inputs)
    while group := list(islice(iterator, size)):
        yield group


def _is_small(source: Input) -> bool:
    try:
        return source[0].stat().st_size <= SMALL_FILE
    except OSError:
        return True  # loading says what is wrong


def _load_small(source: Input) -> _Loaded | Failure | None:
    """`None` for a large picture, not decoded."""

    def check(num_pixels: int) -> None:
        if num_pixels >= LARGE_PICTURE:
            raise _LargeError

    with suppress(_LargeError):
        return _load(source, check)
    return None


def _load(source: Input, reserve: Reserve | None = None) -> _Loaded | Failure:
    path, target = source
    try:
        return _Loaded(path, target, pictures.load(path, reserve=reserve))
    except UserError as error:
        return Failure(path, error, "out_of_memory" if isinstance(error.__cause__, MemoryError) else "unreadable")


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


def _predict(chunk: Sequence[_Loaded | Failure], predict: Predict) -> Iterator[Predicted | Failure]:
    predictions = _predictions([each for each in chunk if isinstance(each, _Loaded)], predict)
    for each in chunk:
        yield next(predictions) if isinstance(each, _Loaded) else each


def _predictions(chunk: Sequence[_Loaded], predict: Predict) -> Iterator[Predicted | Failure]:
    """Predict all at once or, if memory is insufficient, one by one."""
    predictions: list[Prediction] | None = None
    with suppress(MemoryError):  # its traceback holds the memory of the first attempt until here, not while others are made
        predictions = predict([each.picture.pixels for each in chunk])
    if predictions is not None:
        yield from (Predicted(*each, prediction) for each, prediction in zip(chunk, predictions, strict=True))
    elif len(chunk) > 1:
        for each in chunk:
            yield from _predictions([each], predict)
    else:
        height, width, _ = chunk[0].picture.pixels.shape
        yield Failure(chunk[0].path, out_of_memory(f"a picture of {width:,} x {height:,} pixels"), "out_of_memory")
