"""Gate: a picture that the restorer hardly changes is returned unchanged.

A restorer changes every picture slightly, undamaged ones too. A picture counts as undamaged if no part of it is changed by more than a
threshold, which is fitted on images, see `evaluation.calibration`: a picture that is left by mistake would have changed little. Works on
arrays, for exported models too, without torch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
"""Height and width in pixels of the blocks over which changes are averaged."""


def change_of(images: NDArray[np.floating[Any]], restored: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The largest mean squared change of a block: images (B, 3, H, W) and restored ones -> (B,).

    Blocks rather than the whole image, so that a scratch counts as much in a large picture as in a small one.
    """
    squares = np.square(restored.clip(0, 1) - images).mean(axis=1)
    sizes = []
    for axis in (1, 2):
        starts = np.arange(0, squares.shape[axis], BLOCK)
        sizes.append(np.diff(starts, append=squares.shape[axis]))
        squares = np.add.reduceat(squares, starts, axis=axis)
    largest: NDArray[np.floating[Any]] = (squares / np.outer(*sizes)).max(axis=(1, 2))
    return largest


def saved_gate(value: Any) -> float | None:
    """The threshold in the metadata of a model; older ones have one for the damage head as well, which is not used any more."""
    threshold = value["change"] if isinstance(value, dict) else value
    return None if threshold is None else float(threshold)
