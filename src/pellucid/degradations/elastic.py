"""Elastic warping of the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.fields import smooth_noise, uniform

if TYPE_CHECKING:
    from torch import Generator, Tensor


def elastic_transform(images: Tensor, amplitude: Tensor, sigma: Tensor, shift: Tensor, generator: Generator) -> Tensor:
    """A random affine map, then random displacements that vary smoothly (Hendrycks and Dietterich 2019, after Simard et al. 2003).

    amplitude: (B,) in pixels, of displacements before they are smoothed, uniform in both directions; sigma: (B,) in pixels, of the
    Gaussian that smooths them; shift: (B,) in pixels, the most by which each of three points that define the affine map moves.
    """
    import torch

    num, _, height, width = images.shape
    if num == 0:
        return images.clone()
    moves = 2 * uniform(images, generator, 3, 2) - 1
    fields, deviation = smooth_noise(images, sigma, generator, channels=2)
    rows = torch.arange(height, device=images.device, dtype=images.dtype).view(-1, 1).expand(height, width)
    columns = torch.arange(width, device=images.device, dtype=images.dtype).expand(height, width)

    centre = images.new_tensor((width // 2, height // 2))
    size = max(1, min(height, width) // 3)
    corners = centre + size * images.new_tensor(((1, 1), (1, -1), (-1, -1)))
    moved = corners + moves * shift.to(images.dtype).view(-1, 1, 1)
    homogeneous = torch.cat((moved, torch.ones_like(moved[..., :1])), dim=2)
    affine = torch.linalg.solve(homogeneous, corners.expand_as(moved))  # from where a pixel goes to where it comes from: (B, 3, 2)
    source = torch.stack((columns, rows, torch.ones_like(rows)), dim=-1).flatten(0, 1) @ affine
    source = source.view(num, height, width, 2).nan_to_num()
    warped = _sample(images, source, edge_repeated=False)

    scale = amplitude.to(images.dtype) * deviation / math.sqrt(3)  # the deviation of uniform numbers from -1 to 1
    displaced = torch.stack((columns, rows), dim=-1) + (fields * scale.view(-1, 1, 1, 1)).permute(0, 2, 3, 1)
    return _sample(warped, displaced, edge_repeated=True).clamp_(0, 1)


def _sample(images: Tensor, at: Tensor, edge_repeated: bool) -> Tensor:
    """Bilinear samples of images (B, C, H, W) at (x, y) in pixels (B, H, W, 2); outside is the mirror image, with the edge or without."""
    from torch.nn.functional import grid_sample

    size = at.new_tensor((images.shape[3], images.shape[2]))
    grid = (2 * at + 1) / size - 1 if edge_repeated else 2 * at / (size - 1).clamp(min=1) - 1
    return grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=not edge_repeated)
