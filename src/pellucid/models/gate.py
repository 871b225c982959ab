"""Gate: a picture that is undamaged is returned unchanged, since a restorer changes every picture slightly.

It counts as undamaged if no part of it would be changed by more than a threshold, or if the damage head is sure enough that there is no
damage. The thresholds are fitted on images, see `evaluation.calibration`. Works on arrays, for exported models too, without torch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
"""Height and width in pixels of the blocks over which changes are averaged."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Thresholds up to which an image counts as undamaged by either; `None` where no threshold is good enough.

    presence: for the largest presence logit over all kinds of damage, where the damage head sees the image at its own size; change: for
    `change_of`, on the squared [0, 1] scale.
    """

    presence: float | None = None
    change: float | None = None


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


def undamaged(
    gate: Gate | None, presence: NDArray[np.floating[Any]] | None, change: NDArray[np.floating[Any]], own_size: bool = True
) -> NDArray[np.bool_]:
    """(B,): which images are left unchanged.

    presence: logits of the kinds of damage, (B, K), if there is a damage head; change: `change_of` of each image, (B,); own_size: the
    damage head saw the images at the size at which they are restored, not scaled down, which would average noise away.
    """
    left: NDArray[np.bool_] = np.zeros(change.shape, np.bool_)
    if gate is not None and gate.change is not None:
        left |= change <= gate.change
    if gate is not None and gate.presence is not None and presence is not None and own_size:
        left |= presence.max(axis=1) <= gate.presence
    return left
