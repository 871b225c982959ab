"""Finds exact and near duplicates among pictures."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pellucid import pictures
from pellucid.errors import UserError

Converted = TypeVar("Converted")

MAX_HASH_DISTANCE = 3
"""Maximum Hamming distance between the 64-bit difference hashes of near duplicates."""

MIN_CORRELATION = 0.97
"""Minimum correlation of the thumbnails of near duplicates; the hashes of pictures that are mostly background collide."""

THUMBNAIL_SIDE = 24
"""Height and width of the thumbnails in pixels."""


class Fingerprint(NamedTuple):
    """Identifies a picture: SHA-256 of the file, `difference_hash`, a grey thumbnail (`THUMBNAIL_SIDE`, `THUMBNAIL_SIDE`) uint8, and the
    `Picture.window` of its values."""

    digest: str
    hash: int
    thumbnail: NDArray[np.uint8]
    window: tuple[int, int] | None = None


def read_fingerprinted(path: Path, convert: Callable[[NDArray[np.uint8]], Converted]) -> tuple[Converted, Fingerprint] | str:
    """What `convert` makes of the picture (H, W, 3) in a file, and its fingerprint; the error if it can't be read."""
    try:
        picture = pictures.load(path)
        pixels, digest = picture.on_white(), hashlib.sha256(path.read_bytes()).hexdigest()
        thumbnail = _grey(pixels, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        return convert(pixels), Fingerprint(digest, difference_hash(pixels), thumbnail, picture.window)
    except UserError as error:
        return str(error)


def difference_hash(picture: NDArray[np.uint8]) -> int:
    """Difference hash, 64 bits: where a picture (H, W, 3) gets brighter from left to right on a grid of 8 x 8 (Krawetz 2013)."""
    grey = _grey(picture, 9, 8)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes())


def exact_duplicates(fingerprints: Sequence[Fingerprint]) -> list[list[int]]:
    """Groups of indices of pictures with identical files."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(fingerprints):
        groups[each.digest].append(index)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """Pairs of indices of similar pictures with different files; of identical files, only the first is listed.

    Of many similar pictures, such as those of a camera that stands still, only as many pairs are listed as connect them all. Hashes within
    `MAX_HASH_DISTANCE` bits agree in at least one of `MAX_HASH_DISTANCE` + 1 parts, so only pictures with a common part are compared: one
    with all others at a time, since all pictures on a black background may have one.
    """
    copies = {index for group in exact_duplicates(fingerprints) for index in group[1:]}
    bands, width = MAX_HASH_DISTANCE + 1, 64 // (MAX_HASH_DISTANCE + 1)
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, each in enumerate(fingerprints):
        for band in range(bands) if index not in copies else ():
            buckets[band, each.hash >> band * width & (1 << width) - 1].append(index)
    hashes, thumbnails = np.array([each.hash for each in fingerprints], np.uint64), np.array([each.thumbnail for each in fingerprints])
    pairs: set[tuple[int, int]] = set()
    for group in map(np.array, buckets.values()):
        connected = np.arange(len(group))  # the same number for pictures that pairs connect already
        for position, one in enumerate(group[:-1].tolist()):
            later = slice(position + 1, None)
            close = np.bitwise_count(hashes[group[later]] ^ hashes[one]) <= MAX_HASH_DISTANCE
            similar = position + 1 + np.flatnonzero(close & (connected[later] != connected[position]))
            similar = similar[_similar(thumbnails[one], thumbnails[group[similar]])]
            if len(similar):
                numbers, first = np.unique(connected[similar], return_index=True)
                pairs.update((one, other) for other in group[similar[first]].tolist())
                connected[np.isin(connected, numbers)] = connected[position]
    return sorted(pairs)


def groups_of_duplicates(fingerprints: Sequence[Fingerprint], names: Sequence[str | None] = ()) -> NDArray[np.int64]:
    """(N,) the number of the group of each picture: its exact and near duplicates, and theirs.

    names: of groups that are known, `None` for pictures without one; pictures of one name are in one group, too.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [(same[0], other) for same in exact_duplicates(fingerprints) for other in same[1:]] + near_duplicates(fingerprints)
    first_of: dict[str, int] = {}
    pairs += [(first_of.setdefault(name, index), index) for index, name in enumerate(names) if name is not None]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    _, groups = connected_components(
        coo_array((np.ones(len(pairs)), (rows, columns)), (len(fingerprints), len(fingerprints))), directed=False
    )
    return np.asarray(groups, np.int64)


def _grey(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    import cv2  # only now, to keep the start of the command line fast

    small: NDArray[np.uint8] = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
    return small


def _similar(thumbnail: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a thumbnail (side, side) correlates with each of others (N, side, side)."""
    one, other = (each - each.mean(axis=(-2, -1), keepdims=True) for each in (thumbnail, others))
    norm = np.linalg.norm(one) * np.linalg.norm(other, axis=(-2, -1))
    similar: NDArray[np.bool_] = ((one * other).sum(axis=(-2, -1)) >= MIN_CORRELATION * norm) & (norm > 0)
    return similar
