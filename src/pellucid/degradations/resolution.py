"""Low resolution: images downsampled and upsampled again, smoothly or as blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.degradations.resampling import bicubic, blocks, resample

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from pellucid.degradations.resampling import Weights


def low_resolution(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Downsamples each image by its factor and upsamples it to its original size.

    images: (B, 3, H, W) in [0, 1]; factor: (B,), at least 1. The small image has max(1, round(H / factor)) rows, ties to even, and
    likewise for columns; images of equal small size are resized together. Both directions are bicubic (Keys 1981, a = -0.5), antialiased
    when downsampling, each followed by a clip to [0, 1]: equivalent to Pillow's `BICUBIC` on floats.
    """
    import torch

    small = torch.stack([(length / factor).round().clamp(min=1) for length in images.shape[2:]], dim=1).long()
    return _down_and_up(images, bicubic, small)


def pixelate(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Replaces blocks of each image by their mean: Pillow's `BOX` down and up.

    images: (B, 3, H, W) in [0, 1]; factor: (B,) of the sides, from 0 to 1. The small image has max(1, floor(factor H)) rows, and likewise
    for columns; images of equal small size are resized together.
    """
    import torch

    small = torch.stack([(length * factor.double() + 1e-6).floor().clamp(min=1) for length in images.shape[2:]], dim=1).long()
    return _down_and_up(images, blocks, small)


def _down_and_up(images: Tensor, weights: Weights, small: Tensor) -> Tensor:
    """Each image resampled to its small size (B, 2), clipped to [0, 1], and the same back."""
    import torch

    result = torch.empty_like(images)
    for rows, columns in set(map(tuple, small.tolist())):
        chosen = (small == small.new_tensor((rows, columns))).all(dim=1).nonzero().squeeze(1)
        part = resample(images[chosen], weights, (rows, columns)).clamp_(0, 1)
        result[chosen] = resample(part, weights, (images.shape[2], images.shape[3])).clamp_(0, 1)
    return result
