"""Measures the reach of a network, the radius of its receptive field."""

import torch
from torch import nn

from pellucid.batch import Output

FIRST_SIDE, LAST_SIDE = 128, 1024
"""Sides of the images on which the reach is measured; the reach is at most half of the second."""


@torch.inference_mode()
def measure_reach(network: nn.Module, multiple: int = 1) -> int | None:
    """Radius of the receptive field in pixels; `None` if it exceeds the largest tested image.

    NaN propagates from one block of the input to every output that depends on it, for any weights.
    """
    device = next(network.parameters()).device
    side = FIRST_SIDE
    while side <= LAST_SIDE:
        middle = side // 2 // multiple * multiple
        images = torch.full((1, 3, side, side), 0.5, device=device)
        images[..., middle : middle + multiple, middle : middle + multiple] = torch.nan
        output: Output = network(images)
        maps = [each for each in (output.restored, output.mask) if each is not None]
        touched = torch.stack([each.isnan().any(1).flatten(0, 1) for each in maps]).any(0) if maps else torch.zeros(1, 1, device=device)
        rows, columns = (touched.any(axis).nonzero().flatten() for axis in (1, 0))
        if not len(rows):
            return 0
        first, last = min(int(rows[0]), int(columns[0])), max(int(rows[-1]), int(columns[-1]))
        if first > 0 and last < side - 1:
            return max(middle - first, last - (middle + multiple - 1))
        side *= 2
    return None
