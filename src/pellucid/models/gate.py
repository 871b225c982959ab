"""Restore-or-leave gate: a picture in which the network finds no damage is returned as it is.

A restorer changes every picture a little. Whether a picture is damaged at all is told by the damage head, or by how much the restorer
changes it. The thresholds are fitted on images, see `evaluation.calibration`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.batch import Output

BLOCK = 8
"""Height and width in pixels of the blocks over which changes are averaged."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Thresholds below which an image counts as undamaged; `None` where no threshold is good enough.

    presence: for the largest presence logit over all kinds of damage; change: for `change_of`, on the squared [0, 1] scale. The damage
    head decides where it has a threshold and sees the image at its own size, otherwise the change does.
    """

    presence: float | None = None
    change: float | None = None


def change_of(images: Tensor, restored: Tensor) -> Tensor:
    """The mean squared change of the block that the restorer changes most: images (B, 3, H, W) and restored ones -> (B,).

    The largest block, not the whole image, so that a scratch in a large picture counts as much as in a small one.
    """
    squares = (restored.float().clamp(0, 1) - images.float()).square().mean(dim=1, keepdim=True)
    return F.avg_pool2d(squares, BLOCK, ceil_mode=True).amax(dim=(1, 2, 3))


def undamaged(gate: Gate | None, output: Output, change: Tensor, own_size: bool = True) -> Tensor:
    """(B,) bool: the images that are to be left as they are.

    change: `change_of` of each image, (B,); own_size: the damage head saw the images at the size at which they are restored, not scaled
    down, which would average noise away.
    """
    if gate is None:
        return torch.zeros_like(change, dtype=torch.bool)
    if gate.presence is not None and output.presence is not None and own_size:
        return output.presence.amax(dim=1).to(change.device) <= gate.presence
    if gate.change is not None:
        return change <= gate.change
    return torch.zeros_like(change, dtype=torch.bool)


def gated(gate: Gate | None, images: Tensor, output: Output) -> Output:
    """`output` with the images themselves in place of the restored ones where they are undamaged; images: (B, 3, H, W)."""
    if gate is None or output.restored is None:
        return output
    left = undamaged(gate, output, change_of(images, output.restored))
    return output._replace(restored=torch.where(left[:, None, None, None], images, output.restored))
