"""Pictures of any size as images of one size: decoded once, cached in one memory-mapped file, cropped and resized when they are read."""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from pellucid import files
from pellucid.cores import num_cores
from pellucid.data.duplicates import Fingerprint, read_fingerprinted

ASPECTS = (3 / 4, 4 / 3)
"""Range of the aspect ratios of random crops, width to height (Szegedy et al. 2015)."""

PIXELS, INDEX = "pixels.bin", "index.npz"
"""Files of the cache: the concatenated pixels, and the index."""

PICTURES_AHEAD = 64
"""Pictures that are decoded at a time, which bounds the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """Images (N, size, size, 3) uint8, RGB, cropped from larger pictures; indexed like an array.

    pixels: concatenated pixels of all pictures, possibly a read-only memory map; starts, heights, widths: (N,) offset of each picture in
    `pixels`, and its size; size: height and width of the images; min_area: smallest fraction of a picture's area in a random crop.
    """

    pixels: NDArray[np.uint8]
    starts: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    size: int
    min_area: float = 1.0

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the equivalent array."""
        return len(self), self.size, self.size, 3

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Data type of the images."""
        return np.dtype(np.uint8)

    def __getitem__(self, indices: NDArray[np.int64] | Sequence[int] | slice) -> NDArray[np.uint8]:
        """The images at `indices`, (B, size, size, 3): the largest centred square of each picture."""
        chosen = np.arange(len(self))[indices]
        return self._resized([self._centre(index) for index in chosen])

    def random_crops(self, indices: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Random resized crops of the pictures at `indices`, (B, size, size, 3); draws: (B, 4) uniform random numbers in [0, 1)."""
        return self._resized([self._crop(index, *draw) for index, draw in zip(indices, draws, strict=True)])

    def take(self, indices: NDArray[np.int64] | Sequence[int] | slice) -> Self:
        """The pictures at `indices`, in that order, without copying them."""
        return replace(self, starts=self.starts[indices], heights=self.heights[indices], widths=self.widths[indices])

    def picture(self, index: int) -> NDArray[np.uint8]:
        """The whole picture, as cached: (H, W, 3)."""
        start, height, width = self.starts[index], self.heights[index], self.widths[index]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def _centre(self, index: int) -> NDArray[np.uint8]:
        picture = self.picture(index)
        side = min(picture.shape[:2])
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        return picture[top : top + side, left : left + side]

    def _crop(self, index: int, share: float, aspect: float, vertical: float, horizontal: float) -> NDArray[np.uint8]:
        picture = self.picture(index)
        height, width = picture.shape[:2]
        area = (self.min_area + (1 - self.min_area) * share) * height * width
        low, high = map(math.log, ASPECTS)
        ratio = math.exp(low + (high - low) * aspect)
        rows = min(height, max(1, round(math.sqrt(area / ratio))))
        columns = min(width, max(1, round(math.sqrt(area * ratio))))
        top, left = int(vertical * (height - rows + 1)), int(horizontal * (width - columns + 1))
        return picture[top : top + rows, left : left + columns]

    def _resized(self, parts: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        images = np.empty((len(parts), self.size, self.size, 3), np.uint8)
        for image, part in zip(images, parts, strict=True):
            _resize(part, self.size, self.size, image)
        return images


def prepare(paths: Sequence[Path], size: int, min_area: float = 1.0) -> tuple[Photos, list[Fingerprint], dict[int, str]]:
    """Decode pictures, or use the cache of an earlier call, unless a file has changed since.

    Pictures are cached at the resolution that the smallest crop needs: a shorter side of size / sqrt(min_area). Returns the readable
    pictures in order, their fingerprints, and the error of each unreadable one by its index in `paths`.
    """
    side = math.ceil(size / math.sqrt(min_area))
    folder = files.home() / "photos" / _key(paths, side)
    if not _cached(folder, paths):
        with files.locked(folder.parent, wait=True):  # one process decodes, the others wait for it
            if not _cached(folder, paths):
                shutil.rmtree(folder, ignore_errors=True)
                with files.atomic_write(folder) as temporary:
                    temporary.mkdir()
                    with (temporary / PIXELS).open("wb") as stream:
                        index = _write(paths, side, stream)
                    np.savez(temporary / INDEX, **index)
    with np.load(folder / INDEX) as index:
        sizes, failures = index["sizes"], _failures(index)
        columns = zip(*(index[name] for name in ("digests", "hashes", "thumbnails", "windows")), strict=True)
        fingerprints = [
            Fingerprint(str(digest), int(code), thumbnail, (int(window[0]), int(window[1])) if window.any() else None)
            for digest, code, thumbnail, window in columns
        ]
    ends = (sizes.prod(axis=1) * 3).cumsum()
    pixels = np.memmap(folder / PIXELS, np.uint8, "r") if len(ends) else np.zeros(0, np.uint8)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(sizes)]
    return Photos(pixels, starts, sizes[:, 0], sizes[:, 1], size, min_area), fingerprints, failures


def _cached(folder: Path, paths: Sequence[Path]) -> bool:
    """Whether the cache is complete, and no failed picture can be read by now: with more memory, permissions, or pydicom installed."""
    if not (folder / INDEX).is_file():
        return False
    with np.load(folder / INDEX) as index:
        return all(isinstance(read_fingerprinted(paths[failed], np.shape), str) for failed in _failures(index))


def _failures(index: Mapping[str, NDArray[Any]]) -> dict[int, str]:
    """The error of each unreadable picture by its number."""
    return {int(failed): reason for failed, reason in json.loads(str(index["failures"])).items()}


def _write(paths: Sequence[Path], side: int, stream: IO[bytes]) -> dict[str, Any]:
    """Write the pixels of every readable picture; returns the content of `INDEX`."""
    from pellucid.progress import ProgressBar  # only now, like OpenCV below, to keep the start of the command line fast

    sizes: list[tuple[int, int]] = []
    fingerprints: list[Fingerprint] = []
    failures: dict[int, str] = {}
    with ProgressBar("pictures read") as progress:
        for number, decoded in enumerate(_decoded(paths, side)):
            if isinstance(decoded, str):
                failures[number] = decoded
            else:
                picture, fingerprint = decoded
                stream.write(picture.data)
                sizes.append((picture.shape[0], picture.shape[1]))
                fingerprints.append(fingerprint)
            progress(number + 1, len(paths))
    return {
        "sizes": np.array(sizes, np.int64).reshape(-1, 2),
        "failures": np.array(json.dumps(failures)),
        "digests": np.array([each.digest for each in fingerprints], "U64"),
        "hashes": np.array([each.hash for each in fingerprints], np.uint64),
        "thumbnails": np.array([each.thumbnail for each in fingerprints], np.uint8),
        "windows": np.array([each.window or (0, 0) for each in fingerprints], np.int64).reshape(-1, 2),
    }


def _decoded(paths: Sequence[Path], side: int) -> Iterator[tuple[NDArray[np.uint8], Fingerprint] | str]:
    """Each picture as it is cached and its fingerprint, or the error if it can't be read; decoded on all cores."""
    decode = partial(read_fingerprinted, convert=partial(_shrunk, side=side))
    with ThreadPoolExecutor(num_cores()) as pool:
        for start in range(0, len(paths), PICTURES_AHEAD):
            yield from pool.map(decode, paths[start : start + PICTURES_AHEAD])


def _shrunk(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture with a shorter side of at most `side` pixels."""
    height, width = picture.shape[:2]
    factor = side / min(height, width)
    return picture if factor >= 1 else _resize(picture, round(height * factor), round(width * factor))


def _resize(picture: NDArray[np.uint8], height: int, width: int, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Resize: area interpolation for shrinking, bicubic for enlarging."""
    import cv2

    smaller = height < picture.shape[0] or width < picture.shape[1]
    resized: NDArray[np.uint8] = cv2.resize(picture, (width, height), into, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return resized


def _key(paths: Sequence[Path], side: int) -> str:
    """The name of the cache folder, which depends on the paths, sizes and modification times of the pictures."""
    digest = hashlib.sha256(f"3 {side}".encode())
    for path in paths:
        status = path.stat()
        digest.update(f"\0{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]
