"""Resolution: pictures that were taken, or kept, too small."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def low_resolution(images: Tensor, factor: Tensor, _generator: Generator) -> Tensor:
    """Shrinks each image by its factor and enlarges it back to its size.

    images: (B, 3, H, W) in [0, 1]; factor: (B,), at least 1. The small image has max(1, round(H / factor)) rows, ties to even, and as
    many columns from W; images of one small size are resized together. Both ways are bicubic (Keys 1981, a = -0.5), antialiased when
    shrinking, each followed by a clip to [0, 1]: what Pillow's `BICUBIC` does to floats.
    """
    import torch
    from torch.nn.functional import interpolate

    size = images.shape[-2:]
    small_sizes = torch.stack([(length / factor).round().clamp(min=1) for length in size], dim=1).long()
    result = torch.empty_like(images)
    for small_size in set(map(tuple, small_sizes.tolist())):
        chosen = (small_sizes == small_sizes.new_tensor(small_size)).all(dim=1)
        small = interpolate(images[chosen], small_size, mode="bicubic", antialias=True).clamp(0, 1)
        # antialias=True here too: it smooths nothing when enlarging, but without it torch takes a = -0.75.
        result[chosen] = interpolate(small, size, mode="bicubic", antialias=True).clamp(0, 1)
    return result
