"""Low resolution: images downsampled and upsampled again."""

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
