"""Elastic warping of the image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pellucid.degradations.fields import smooth_noise, uniform
from pellucid.lazy import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor


def elastic_transform(images: Tensor, amplitude: Tensor, sigma: Tensor, shift: Tensor, generator: Generator) -> Tensor:
    """A random affine map, then random displacements that vary smoothly (Hendrycks and Dietterich 2019, after Simard et al. 2003).

    amplitude: (B,) in pixels, of displacements before they are smoothed, uniform in both directions; sigma: (B,) in pixels, of the
    Gaussian that smooths them; shift: (B,) in pixels, the most by which each of three points that define the affine map moves.
    """
    num, _, height, width = images.shape
    if num == 0:
        return images.clone()
    moves = 2 * uniform(images, generator, 3, 2) - 1
    fields, deviation = smooth_noise(images, sigma, generator, channels=2)

    centre = images.new_tensor((width // 2, height // 2))
    size = max(1, min(height, width) // 3)
    corners = centre + size * images.new_tensor(((1, 1), (1, -1), (-1, -1)))
    moved = corners + moves * shift.to(images.dtype).view(-1, 1, 1)
    homogeneous = torch.cat((moved, torch.ones_like(moved[..., :1])), dim=2)
    affine = torch.linalg.solve(homogeneous, corners.expand_as(moved))  # from where a pixel goes to where it comes from: (B, 3, 2)
    # Positions in the units of `grid_sample`, x and y as planes (B, 2, H, W): sums over long rows are faster than over pairs.
    by_column, by_row, constant = affine.nan_to_num().view(num, 3, 2, 1, 1).unbind(dim=1)
    rows = torch.arange(height, device=images.device, dtype=images.dtype).view(-1, 1)
    columns = torch.arange(width, device=images.device, dtype=images.dtype)
    scale = 2 / images.new_tensor((width - 1, height - 1)).clamp(min=1).view(2, 1, 1)
    warped = _sample(images, by_column * scale * columns + ((by_row * rows + constant) * scale - 1), edge_repeated=False)

    amplitude = amplitude.to(images.dtype) * deviation / math.sqrt(3)  # the deviation of uniform numbers from -1 to 1
    positions = fields.mul_(amplitude.view(-1, 1, 1, 1) * 2 / images.new_tensor((width, height)).view(2, 1, 1))
    positions[:, 0] += (2 * columns + 1) / width - 1
    positions[:, 1] += (2 * rows + 1) / height - 1
    return _sample(warped, positions, edge_repeated=True).clamp_(0, 1)


def _sample(images: Tensor, at: Tensor, edge_repeated: bool) -> Tensor:
    """Bilinear samples of images (B, C, H, W) at x and y from -1 to 1 (B, 2, H, W); outside is the mirror image, with the edge or without.

    -1 and 1 are the edges of the first and of the last pixel with the edge, their centres without.
    """
    return torch.nn.functional.grid_sample(
        images, at.permute(0, 2, 3, 1), mode="bilinear", padding_mode="reflection", align_corners=not edge_repeated
    )
