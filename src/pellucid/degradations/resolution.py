"""Low resolution: images downsampled and upsampled again, smoothly or as blocks."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from pellucid.degradations.convolution import suits_opencv
from pellucid.degradations.resampling import bicubic, blocks, resample, shrink_and_enlarge
from pellucid.double import double
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from pellucid.degradations.resampling import Weights


def low_resolution(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Downsamples each image by its factor and upsamples it to its original size.

    images: (B, 3, H, W) in [0, 1]; factor: (B,), at least 1. The small image has max(1, round(H / factor)) rows, ties to even, and
    likewise for columns; images of equal small size are resized together. Both directions are bicubic (Keys 1981, a = -0.5), antialiased
    when downsampling, each followed by a clip to [0, 1]: equivalent to Pillow's `BICUBIC` on floats.
    """
    small = torch.stack([(length / factor).round().clamp(min=1) for length in images.shape[2:]], dim=1).long()
    return _down_and_up(images, bicubic, small)


def pixelate(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Replaces blocks of each image by their mean: Pillow's `BOX` down and up.

    images: (B, 3, H, W) in [0, 1]; factor: (B,) of the sides, from 0 to 1. The small image has max(1, floor(factor H)) rows, and likewise
    for columns; images of equal small size are resized together.
    """
    small = torch.stack([(length * double(factor) + 1e-6).floor().clamp(min=1) for length in images.shape[2:]], dim=1).long()
    return _down_and_up(images, blocks, small)


def _down_and_up(images: Tensor, weights: Weights, small: Tensor) -> Tensor:
    """Each image resampled to its small size (B, 2), clipped to [0, 1], and the same back."""
    num, channels, height, width = images.shape
    sizes = list(map(tuple, small.tolist()))
    if suits_opencv(images):
        result = torch.empty_like(images, memory_format=torch.contiguous_format)
        for image, size, target in zip(images.detach().contiguous().numpy(), sizes, result.numpy(), strict=True):
            shrink_and_enlarge(image, weights, size, target)
        return result
    # Images of equal small size are neighbours, in planes (H, B * C, W), which `resample` expects.
    order = sorted(range(num), key=sizes.__getitem__)
    at = torch.tensor(order, dtype=torch.long, device=images.device)
    planes = images.index_select(0, at).permute(2, 0, 1, 3).reshape(height, -1, width)
    resampled, first = torch.empty_like(planes), 0
    for size, group in groupby(order, key=sizes.__getitem__):
        part = slice(first, first + channels * len(list(group)))
        shrunk = resample(planes[:, part], weights, size).clamp_(0, 1)
        torch.clamp(resample(shrunk, weights, (height, width)), 0, 1, out=resampled[:, part])
        first = part.stop
    return resampled.view(height, num, channels, width).permute(1, 2, 0, 3).index_select(0, at.argsort())
