"""Estimates the memory of a forward pass, and so the largest picture that goes through in one piece."""

from typing import Any

import torch
from torch import Tensor, nn

BUDGET = 500_000_000
"""Bytes that one forward may take: a photograph of 24 megapixels should need less than 2 GB in all, of which torch takes a fifth."""

MAPS_AT_ONCE = 6
"""Memory of a forward in units of its widest feature map. Measured on CPU at 1 to 10 megapixels: 5.3 to 6.1, over ResNet-18s with small
and standard stem, narrow and wide, and the paper's listing."""


def max_pixels(network: nn.Module) -> int:
    """Pixels, over all pictures of a batch, that one forward of `network` takes within `BUDGET`.

    1.3 megapixels where the widest map has 64 channels at half resolution, a quarter of that where it has them at full resolution.
    """
    return int(BUDGET / (MAPS_AT_ONCE * _widest(network)))


@torch.inference_mode()
def _widest(network: nn.Module, side: int = 64) -> float:
    """Bytes for each pixel of the picture in the largest tensor that goes into or comes out of a layer, seen on a small picture."""
    largest = 0

    def look(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        largest = max([largest, *(tensor.nbytes for tensor in (*inputs, output) if isinstance(tensor, Tensor))])

    hooks = [layer.register_forward_hook(look) for layer in network.modules()]
    try:
        network(torch.zeros(1, 3, side, side, device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return largest / side**2
