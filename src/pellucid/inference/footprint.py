"""Estimates the memory of a forward pass, and the largest picture that is processed without tiles."""

from typing import Any

import torch
from torch import Tensor, nn

BUDGET = 500_000_000
"""Bytes of one forward pass: a photograph of 24 megapixels should need less than 2 GB in total, of which torch takes a fifth."""

MAPS_AT_ONCE = 6
"""Memory of a forward pass in units of its largest feature map. Measured on CPU at 1 to 10 megapixels: 5.3 to 6.1, over ResNet-18s with
small and standard stem, narrow and wide, and the paper's listing."""


def max_pixels(network: nn.Module) -> int:
    """Maximum number of pixels, over all pictures of a batch, of one forward pass of `network` within `BUDGET`.

    1.3 megapixels if the largest map has 64 channels at half resolution, a quarter of that at full resolution.
    """
    return int(BUDGET / (MAPS_AT_ONCE * _widest(network)))


@torch.inference_mode()
def _widest(network: nn.Module) -> float:
    """Bytes per input pixel of the largest input or output of a layer, measured on a small image."""
    side, largest = 64, 0

    def record(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        largest = max([largest, *(tensor.nbytes for tensor in (*inputs, output) if isinstance(tensor, Tensor))])

    hooks = [layer.register_forward_hook(record) for layer in network.modules()]
    try:
        network(torch.zeros(1, 3, side, side, device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return largest / side**2
