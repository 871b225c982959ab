"""The cost of a network in multiply-accumulates and time, and widening to a given cost."""

import time
from bisect import bisect_left
from collections.abc import Mapping
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pellucid.errors import UserError
from pellucid.models.config import EncoderConfig
from pellucid.models.encoder import Encoder
from pellucid.recipe import Recipe, changed
from pellucid.run import initialise

TRAINING_FLOP_PER_MAC = 6
"""Floating-point operations of training for each multiply-accumulate of a forward pass: two forward, four backward."""

WIDTH_MULTIPLE = 8
"""Widths are multiples of it, for vector units and tensor cores."""

TIMED_PIXELS = 64 * 128 * 128
"""Maximum number of pixels of a batch whose time is measured, which bounds the memory."""

STAGES = range(4)
"""Stages of timm's ResNets and ConvNeXts."""

STRETCH_STEP, MAX_STRETCH = 0.01, 4.0
"""Step size and maximum of the relative increase in width."""


def macs_of(recipe: Recipe) -> int:
    """Multiply-accumulates of one forward pass of a recipe's network on a CIFAR-10 image, 32 x 32 pixels and ten classes."""
    with torch.device("meta"):  # shapes are all that is needed
        return count_macs(initialise(recipe, 10, load=False).eval(), 32)


def count_macs(network: nn.Module, side: int) -> int:
    """Multiply-accumulates of one forward pass on one image of side x side pixels, in convolutions and matrix products."""
    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, side, side, device=device))
    return int(counter.get_total_flops()) // 2


def widen(recipe: Recipe, macs: int) -> Recipe:
    """The recipe with the widest encoder of at most `macs` per forward pass; all stages grow by the same factor.

    Raises `UserError` if the present width already costs more, or if the encoder's widths can't be set.
    """
    encoder = recipe.model.encoder
    widths = encoder.widths or _widths_of(encoder)

    def stretched(steps: int) -> Recipe:
        wider = tuple(max(WIDTH_MULTIPLE, round(width * (1 + steps * STRETCH_STEP) / WIDTH_MULTIPLE) * WIDTH_MULTIPLE) for width in widths)
        return changed(recipe, {"model.encoder.widths": wider})

    def too_expensive(steps: int) -> bool:
        return macs_of(stretched(steps)) > macs

    affordable = bisect_left(range(round(MAX_STRETCH / STRETCH_STEP)), True, key=too_expensive) - 1
    if affordable < 0:
        raise UserError(f"Expected room to widen the network, found that {macs:,} multiply-accumulates are too few for widths {widths}.")
    return stretched(affordable)


def _widths_of(config: EncoderConfig) -> tuple[int, ...]:
    """The default widths of an encoder, without the expansion of bottleneck blocks and the map of a standard stem."""
    encoder = Encoder(config, load=False)
    expansion = next((module.expansion for module in encoder.network.modules() if hasattr(module, "expansion")), 1)
    return tuple(channels // expansion for channels in encoder.channels[-len(config.depths or STAGES) :])


def seconds_per_image(networks: Mapping[str, nn.Module], side: int, rounds: int = 15) -> dict[str, float]:
    """Time of one forward pass in float32 on an image of side x side pixels for each network, in batches of at most `TIMED_PIXELS`;
    measured in turns, so that other load slows all alike."""
    batch_size = max(1, min(64, TIMED_PIXELS // side**2))
    times: dict[str, list[float]] = {name: [] for name in networks}
    with torch.inference_mode():
        for turn in range(rounds + 2):
            for name, network in networks.items():
                device = next(network.parameters()).device
                images = torch.zeros(batch_size, 3, side, side, device=device)
                started = time.perf_counter()
                network(images)
                if device.type != "cpu":
                    torch.accelerator.synchronize(device)
                if turn >= 2:  # after warm-up
                    times[name].append((time.perf_counter() - started) / batch_size)
    return {name: median(measured) for name, measured in times.items()}
