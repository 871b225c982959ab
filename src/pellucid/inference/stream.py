"""Streams pictures through a predictor in bounded chunks, in order."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid import pictures
from pellucid.errors import UserError
from pellucid.inference.predictor import Prediction, Predictor


class Predicted(NamedTuple):
    """A picture, (H, W, 3) uint8, from `path`, and what the model says of it; `target` is where its restored picture belongs."""

    path: Path
    target: PurePosixPath
    picture: NDArray[np.uint8]
    prediction: Prediction


class Failure(NamedTuple):
    """Why there is no prediction."""

    path: Path
    error: UserError


class _Picture(NamedTuple):
    path: Path
    target: PurePosixPath
    pixels: NDArray[np.uint8]


def stream(asked: Iterable[tuple[Path, PurePosixPath]], predictor: Predictor) -> Iterator[Predicted | Failure]:
    """A prediction or a failure for each picture that is `asked` for, by its path and target."""
    for chunk in _chunks((_read(path, target, predictor.max_pixels) for path, target in asked), predictor):
        predictions = _predictions([picture for picture in chunk if isinstance(picture, _Picture)], predictor)
        for picture in chunk:
            yield next(predictions) if isinstance(picture, _Picture) else picture


def _predictions(chunk: Sequence[_Picture], predictor: Predictor) -> Iterator[Predicted | Failure]:
    """Of all at once or, where the memory is not enough for that, one by one."""
    try:
        predictions = predictor.predict([picture.pixels for picture in chunk])
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)):
            raise
        if len(chunk) > 1:
            for picture in chunk:
                yield from _predictions([picture], predictor)
            return
        height, width, _ = chunk[0].pixels.shape
        yield Failure(
            chunk[0].path, UserError(f"Expected memory for a picture of {width:,} x {height:,} pixels, found too little; scale it down.")
        )
        return
    for picture, prediction in zip(chunk, predictions, strict=True):
        yield Predicted(*picture, prediction)


def _read(path: Path, target: PurePosixPath, max_pixels: int) -> _Picture | Failure:
    try:
        return _Picture(path, target, pictures.read(path, min(max_pixels, pictures.MAX_PIXELS)))
    except UserError as error:
        return Failure(path, error)


def _chunks(found: Iterable[_Picture | Failure], predictor: Predictor) -> Iterator[list[_Picture | Failure]]:
    """Neighbours, until there are as many as may go through the network at once."""
    chunk: list[_Picture | Failure] = []
    num_pixels = 0
    for picture in found:
        chunk.append(picture)
        num_pixels += picture.pixels.size // 3 if isinstance(picture, _Picture) else 0
        if len(chunk) == predictor.batch_size or num_pixels >= predictor.max_pixels:
            yield chunk
            chunk, num_pixels = [], 0
    if chunk:
        yield chunk
