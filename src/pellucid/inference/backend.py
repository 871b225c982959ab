"""The interface between the predictor and the engines: torch, ONNX Runtime or OpenVINO.

A backend is a function of arrays, which encapsulates tensors, devices, threads and precision, so that all engines share the code for tiles,
bit depths, grey pictures, scaling and non-finite outputs.
"""

import os
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pellucid.cores import num_cores
from pellucid.inference.pixels import Floats
from pellucid.models.mirrored import mean_with_mirrored

SMALLEST = 8
"""Minimum height and width of the images of backends."""


class Outputs(NamedTuple):
    """`pellucid.batch.Output` in arrays of float32; `None` for a field without a head.

    logits (B, num_classes); restored (B, 3, H, W), not clamped; presence, logits, and strength (B, K); mask, logits (B, 1, H, W).
    """

    logits: Floats | None = None
    restored: Floats | None = None
    presence: Floats | None = None
    strength: Floats | None = None
    mask: Floats | None = None

    def crop(self, height: int, width: int) -> "Outputs":
        """Crop images and masks to that size, from the upper left corner."""
        restored, mask = (None if each is None else each[..., :height, :width] for each in (self.restored, self.mask))
        return self._replace(restored=restored, mask=mask)

    def finite(self) -> NDArray[np.bool_]:
        """(B,): whether all outputs for a picture are finite."""
        fields = [np.isfinite(each).reshape(len(each), -1).all(1) for each in self if each is not None]
        finite: NDArray[np.bool_] = np.logical_and.reduce(fields)
        return finite


@runtime_checkable
class Backend(Protocol):
    """Images (B, 3, H, W), float32 in [0, 1], any H and W from `SMALLEST` up -> `Outputs`.

    stated: engine, device, threads and precision, as text; max_pixels: maximum number of pixels of a batch, which bounds the memory;
    multiple: tiles of a large picture start at multiples of it. Raises `MemoryError` if memory is insufficient.
    """

    stated: str
    max_pixels: int
    multiple: int

    def __call__(self, images: Floats) -> Outputs:
        """Compute the outputs for a batch."""
        ...

    def reach(self) -> int | None:
        """Radius of the receptive field in pixels; `None` for the whole image."""
        ...


class MirroredBackend:
    """A backend with test-time augmentation, see `mean_with_mirrored`."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.stated = f"{backend.stated}, each picture and its mirror image"
        self.max_pixels, self.multiple = backend.max_pixels, backend.multiple

    def __call__(self, images: Floats) -> Outputs:
        """Compute the outputs for a batch."""
        outputs: Outputs = mean_with_mirrored(self.backend, images, lambda each: np.ascontiguousarray(each[..., ::-1]))
        return outputs

    def reach(self) -> int | None:
        """That of the wrapped backend."""
        return self.backend.reach()


def num_threads() -> int:
    """Threads of engines other than torch: $OMP_NUM_THREADS, as for torch, or else the number of cores available to the process."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    if setting.isdigit() and int(setting) > 0:
        return int(setting)
    return num_cores()
