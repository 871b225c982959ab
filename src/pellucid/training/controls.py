"""Control conditions of experiments."""

import torch
from torch import Tensor, nn

from pellucid.models.decoder import Guidance


def shuffle_guidance(network: nn.Module) -> None:
    """Condition the decoder on the previous image of the batch, or on zeros for a batch of one. Not part of the saved weights."""
    for module in network.modules():
        if isinstance(module, Guidance):
            module.register_forward_hook(_shift_batch)


def _shift_batch(_module: nn.Module, _inputs: tuple[Tensor, ...], condition: Tensor) -> Tensor:
    return condition.roll(1, 0) if len(condition) > 1 else torch.zeros_like(condition)
