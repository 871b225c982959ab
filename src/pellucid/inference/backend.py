"""The interface between the predictor and what computes: torch, ONNX Runtime or OpenVINO.

A backend is a function of arrays. What it needs beyond them (tensors, devices, threads, precision) is its own affair, so that everything
around it (tiles, bit depths, grey, scaling, outputs that are not finite) is the same code for all.
"""

import os
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pellucid.inference.pixels import Floats

SMALLEST = 8
"""Height and width from which up backends take images."""


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
        """The same with images and masks of that size, from the upper left corner."""
        restored, mask = (None if each is None else each[..., :height, :width] for each in (self.restored, self.mask))
        return self._replace(restored=restored, mask=mask)

    def finite(self) -> NDArray[np.bool_]:
        """(B,): all numbers for a picture are finite."""
        whole: NDArray[np.bool_] = np.logical_and.reduce(
            [np.isfinite(each).reshape(len(each), -1).all(1) for each in self if each is not None]
        )
        return whole


@runtime_checkable
class Backend(Protocol):
    """Images (B, 3, H, W), float32 in [0, 1], any H and W from `SMALLEST` up -> `Outputs`.

    stated: engine, device, threads and precision, in words; max_pixels: pixels of a batch that one call should take at most, by its
    memory; multiple: tiles of a large picture begin at multiples of it. Raises `MemoryError` where the memory is not enough.
    """

    @property
    def stated(self) -> str:
        """What computes, in words."""
        ...

    @property
    def max_pixels(self) -> int:
        """Pixels of a call."""
        ...

    @property
    def multiple(self) -> int:
        """Where tiles begin."""
        ...

    def __call__(self, images: Floats) -> Outputs:
        """Compute the outputs for a batch."""
        ...

    def reach(self) -> int | None:
        """How many pixels away from a pixel of the output an input can matter; `None` for the whole image."""
        ...


class MirroredBackend:
    """The mean of a backend's outputs for images and for their mirror images, turned back; twice the time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.stated = f"{backend.stated}, each picture and its mirror image"
        self.max_pixels, self.multiple = backend.max_pixels, backend.multiple

    def __call__(self, images: Floats) -> Outputs:
        """Compute the outputs for a batch."""
        one, other = self._backend(images), self._backend(np.ascontiguousarray(images[..., ::-1]))
        turned = other._replace(
            restored=None if other.restored is None else other.restored[..., ::-1],
            mask=None if other.mask is None else other.mask[..., ::-1],
        )
        return Outputs(
            *(
                None if first is None or second is None else np.float32(0.5) * (first + second)
                for first, second in zip(one, turned, strict=True)
            )
        )

    def reach(self) -> int | None:
        """That of the backend."""
        return self._backend.reach()


def num_threads() -> int:
    """Threads for an engine other than torch: $OMP_NUM_THREADS, which torch obeys too, or else the cores that this process may use."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
