"""Low resolution: images downsampled and upsampled again, smoothly or as blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def low_resolution(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Downsamples each image by its factor and upsamples it to its original size.

    images: (B, 3, H, W) in [0, 1]; factor: (B,), at least 1. The small image has max(1, round(H / factor)) rows, ties to even, and
    likewise for columns; images of equal small size are resized together. Both directions are bicubic (Keys 1981, a = -0.5), antialiased
    when downsampling, each followed by a clip to [0, 1]: equivalent to Pillow's `BICUBIC` on floats.
    """
    import torch
    from torch.nn.functional import interpolate

    size = images.shape[-2:]
    small_sizes = torch.stack([(length / factor).round().clamp(min=1) for length in size], dim=1).long()
    result = torch.empty_like(images)
    for small_size in set(map(tuple, small_sizes.tolist())):
        chosen = (small_sizes == small_sizes.new_tensor(small_size)).all(dim=1)
        small = interpolate(images[chosen], small_size, mode="bicubic", antialias=True).clamp(0, 1)
        # antialias=True here too: it has no smoothing effect when upsampling, but without it torch uses a = -0.75.
        result[chosen] = interpolate(small, size, mode="bicubic", antialias=True).clamp(0, 1)
    return result


def pixelate(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Shows each image as blocks of one colour, the mean of their pixels: Pillow's `BOX` down and up.

    images: (B, 3, H, W) in [0, 1]; factor: (B,) of the sides, from 0 to 1. The small image has max(1, floor(factor H)) rows, and likewise
    for columns; images of equal small size are resized together.
    """
    import torch

    result = torch.empty_like(images)
    small = torch.stack([(length * factor.double() + 1e-6).floor().clamp(min=1) for length in images.shape[2:]], dim=1).long()
    for size in set(map(tuple, small.tolist())):
        chosen = (small == small.new_tensor(size)).all(dim=1)
        rows, columns = (_blocks(length, number, images) for length, number in zip(images.shape[2:], size, strict=True))
        means = (_average(rows, size[0], images) @ images[chosen]) @ _average(columns, size[1], images).T
        result[chosen] = means.index_select(2, rows).index_select(3, columns)
    return result


def _blocks(length: int, number: int, like: Tensor) -> Tensor:
    """For each of `length` pixels which of `number` blocks it lies in."""
    import torch

    return ((torch.arange(length, device=like.device) + 0.5) * (number / length)).floor().long().clamp(max=number - 1)


def _average(blocks: Tensor, number: int, like: Tensor) -> Tensor:
    """The matrix (number, length) that takes the mean over the pixels of each block."""
    from torch.nn.functional import one_hot

    members = one_hot(blocks, number).T.to(like.dtype)
    return members / members.sum(dim=1, keepdim=True)
