"""Which pictures are copies of one another, exactly or nearly."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEAR = 3
"""Most bits of 64 in which the difference hashes of near duplicates differ."""

SIMILARITY = 0.97
"""Least correlation of the thumbnails of near duplicates; hashes alone find pictures alike that have little but background."""

THUMBNAIL = 24
"""Side of the thumbnails."""


class Looks(NamedTuple):
    """What tells pictures apart: a hash of the file's bytes, `difference_hash`, and a grey thumbnail (`THUMBNAIL`, `THUMBNAIL`) uint8."""

    digest: str
    hash: int
    thumbnail: NDArray[np.uint8]


def looks_of(picture: NDArray[np.uint8], content: bytes) -> Looks:
    """Of a picture (H, W, 3) and the bytes of its file."""
    return Looks(hashlib.sha256(content).hexdigest(), difference_hash(picture), _grey(picture, THUMBNAIL, THUMBNAIL))


def difference_hash(picture: NDArray[np.uint8]) -> int:
    """64 bits that say where a picture (H, W, 3) gets brighter from left to right, on a grid of 8 x 8 (Krawetz 2013)."""
    grey = _grey(picture, 9, 8)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes())


def exact_duplicates(looks: Sequence[Looks]) -> list[list[int]]:
    """Groups of indices of pictures whose files are the same."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(looks):
        groups[each.digest].append(index)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(looks: Sequence[Looks]) -> list[tuple[int, int]]:
    """Pairs of indices of pictures that look alike and are not the same file, of several such files the first.

    Hashes that differ in at most `NEAR` bits share one of their `NEAR` + 1 parts at least, so only pictures that do are compared.
    """
    copies = {index for group in exact_duplicates(looks) for index in group[1:]}
    bands, width = NEAR + 1, 64 // (NEAR + 1)
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, each in enumerate(looks):
        for band in range(bands) if index not in copies else ():
            buckets[band, each.hash >> band * width & (1 << width) - 1].append(index)
    candidates = {pair for group in buckets.values() for pair in combinations(group, 2)}
    return sorted((one, other) for one, other in candidates if _alike(looks[one], looks[other]))


def groups_of_duplicates(looks: Sequence[Looks], known: Sequence[str | None] = ()) -> NDArray[np.int64]:
    """(N,) the number of the group of each picture: its exact and near duplicates, and theirs; known: names of groups, if any, to keep."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [(same[0], other) for same in exact_duplicates(looks) for other in same[1:]] + near_duplicates(looks)
    first: dict[str, int] = {}
    pairs += [(first.setdefault(name, index), index) for index, name in enumerate(known) if name is not None]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    _, groups = connected_components(coo_array((np.ones(len(pairs)), (rows, columns)), (len(looks), len(looks))), directed=False)
    return np.asarray(groups, np.int64)


def _grey(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    import cv2  # only now: the command line knows data sets, and is to start at once

    small: NDArray[np.uint8] = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (width, height), interpolation=cv2.INTER_AREA)
    return small


def _alike(one: Looks, other: Looks) -> bool:
    if (one.hash ^ other.hash).bit_count() > NEAR:
        return False
    deviations = [each.thumbnail - each.thumbnail.mean() for each in (one, other)]
    norm = np.linalg.norm(deviations[0]) * np.linalg.norm(deviations[1])
    return bool((deviations[0] * deviations[1]).sum() >= SIMILARITY * norm > 0)
