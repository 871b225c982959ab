"""Resampling: every row and column of the result is a weighted sum of a few rows and columns of the image.

The weights are matrices: sparse ones for large images on the CPU, otherwise dense ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pellucid.lazy import cv2, np, torch

if TYPE_CHECKING:
    from torch import Tensor, device, dtype

    Weights = Callable[..., Any]


def resample(planes: Tensor, weights: Weights, size: tuple[int, int]) -> Tensor:
    """Resample planes (H, N, W), whose rows are the first dimension so that each direction is one product of matrices, to another size.

    weights: function (length, number) -> sparse matrix, applied to rows and then to columns.
    """
    height, num, width = planes.shape
    down, across = (_dense(weights, *lengths, planes.dtype, planes.device) for lengths in ((height, size[0]), (width, size[1])))
    return (down @ planes.reshape(height, -1)).view(-1, num, width) @ across.T


def shrink_and_enlarge(image: Any, weights: Weights, size: tuple[int, int], target: Any) -> None:
    """Resample an image (C, H, W) on the CPU to a smaller size and back, with a clip to [0, 1] after each, into `target`."""
    channels, height, width = image.shape
    rows, columns = size
    lengths = ((height, rows), (width, columns), (columns, width), (rows, height))
    down, across, wider, higher = (_sparse(weights, each, channels, image.dtype.char) for each in lengths)
    # Sparse matrices apply to rows. The small image stays transposed, so that two of four transpositions are not needed.
    small = across @ _transposed((down @ image.reshape(-1, width)).reshape(channels, rows, width)).reshape(-1, rows)
    np.clip(small, 0, 1, out=small)
    large = higher @ _transposed((wider @ small).reshape(channels, width, rows)).reshape(-1, width)
    np.clip(large, 0, 1, out=target.reshape(-1, width))


def resample_sparsely(images: Tensor, weights: Weights, *sizes: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    """The sum of several resamplings of images (B, C, H, W) on the CPU; sizes: arguments of `weights` for rows and for columns."""
    source = images.detach().contiguous().numpy()
    channels, kind = source.shape[1], source.dtype.char
    matrices = [tuple(_sparse(weights, lengths, channels, kind) for lengths in size) for size in sizes]
    rows, columns = (matrix.shape[0] // channels for matrix in matrices[0])
    result = np.empty((len(source), channels, rows, columns), source.dtype)
    for image, target in zip(source, result, strict=True):
        total: Any = None
        for down, across in matrices:  # one at a time, to stay in the cache
            part = across @ _transposed((down @ image.reshape(-1, image.shape[2])).reshape(channels, rows, -1)).reshape(-1, rows)
            total = part if total is None else np.add(total, part, out=total)
        _transposed(total.reshape(channels, columns, rows), target)
    return torch.from_numpy(result)


def _transposed(planes: Any, target: Any = None) -> Any:
    """Transpose planes: (C, H, W) -> (C, W, H)."""
    target = np.empty((len(planes), planes.shape[2], planes.shape[1]), planes.dtype) if target is None else target
    for plane, transposed in zip(planes, target, strict=True):
        cv2.transpose(plane, dst=transposed)
    return target


def bicubic(length: int, number: int) -> Any:
    """Bicubic interpolation (Keys 1981, a = -0.5), antialiased where it shrinks, as Pillow's `BICUBIC`: (number, length), sparse."""
    shrinks = max(1.0, length / number)
    centres = (np.arange(number) + 0.5) * (length / number)
    first = np.maximum((centres - 2 * shrinks + 0.5).astype(int), 0)
    last = np.minimum((centres + 2 * shrinks + 0.5).astype(int), length)
    at = first[:, None] + np.arange((last - first).max())
    distance = np.abs((at - centres[:, None] + 0.5) / shrinks)
    near, far = (1.5 * distance - 2.5) * distance**2 + 1, ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    values = np.where(distance < 1, near, np.where(distance < 2, far, 0)) * (at < last[:, None])
    return _matrix(at, values / values.sum(axis=1, keepdims=True), length)


def blocks(length: int, number: int) -> Any:
    """Blocks of whole pixels: their means where it shrinks, Pillow's `BOX`, repeated where it enlarges: (number, length), sparse."""
    many, few = max(length, number), min(length, number)
    centres = (np.arange(many, dtype=np.float32) + 0.5) * np.float32(few / many)  # float32 decides where a pixel's centre is on an edge
    block = np.minimum(centres, few - 1).astype(int)[:, None]
    if number == many:
        return _matrix(block, np.ones(block.shape), length)
    return _matrix(block, 1 / np.bincount(block[:, 0])[block], few).T.tocsr()


def magnified(length: int, zoom: float) -> Any:
    """Linear interpolation as in `magnify`: (length, length), sparse."""
    kept, large, before, cut = magnification(length, zoom)
    at = (np.arange(length) + cut) * ((kept - 1) / max(1, large - 1))
    left = np.minimum(at.astype(int), kept - 1)
    share = at - left
    return _matrix(before + np.stack((left, np.minimum(left + 1, kept - 1)), axis=1), np.stack((1 - share, share), axis=1), length)


def magnification(length: int, zoom: float) -> tuple[int, int, int, int]:
    """How `scipy.ndimage.zoom` magnifies: pixels kept, their number when magnified, pixels cut before them and before those."""
    kept = math.ceil(length / zoom)
    large = max(length, int(kept * zoom + 0.5))
    return kept, large, (length - kept) // 2, (large - length) // 2


def _matrix(at: Any, values: Any, length: int) -> Any:
    """A sparse matrix from the columns and values of each row."""
    from scipy.sparse import csr_array

    rows = np.broadcast_to(np.arange(len(at))[:, None], at.shape)
    used = values != 0
    return csr_array((values[used], (rows[used], at[used])), shape=(len(at), length))


@lru_cache(maxsize=512)
def _sparse(weights: Weights, lengths: tuple[float, ...], channels: int, kind: str) -> Any:
    """A sparse matrix that applies weights to each channel of vertically stacked planes."""
    from scipy.sparse import identity, kron

    return kron(identity(channels), weights(*lengths), format="csr").astype(kind)


@lru_cache(maxsize=128)
def _dense(weights: Weights, length: int, number: int, kind: dtype, target: device) -> Tensor:
    return torch.from_numpy(weights(length, number).toarray()).to(kind).to(target)
