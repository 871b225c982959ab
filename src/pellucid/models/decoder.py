"""The U-Net decoder on the encoder's features (Ronneberger et al. 2015)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models.blocks import ResidualBlock, conv_block


class Decoder(nn.Module):
    """Feature maps, finest first -> a decoded map with the shape of the finest one; a single map passes through the residual blocks alone.

    From the coarsest map upward: upsample to the next finer map, join the two, modulate, refine.

    Args:
        channels: channels of each feature map, finest first; each stage outputs as many as the map that it joins.
        num_blocks: residual blocks at the finest resolution.
        conditions: channels of each conditioning map.
    """

    def __init__(self, channels: Sequence[int], num_blocks: int = 0, conditions: Sequence[int] = ()) -> None:
        super().__init__()
        self.joins = nn.ModuleList(Join(coarse, fine) for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.modulations = nn.ModuleList(nn.ModuleList(Modulation(width, fine) for width in conditions) for fine in channels[-2::-1])
        self.blocks = nn.ModuleList(conv_block(fine, fine) for fine in channels[-2::-1])
        self.last = nn.Sequential(*(ResidualBlock(channels[0]) for _ in range(num_blocks)))

    def forward(self, features: Sequence[Tensor], conditions: Sequence[Tensor] = ()) -> Tensor:
        """Feature maps, finest first, and conditions (B, C, h, w) of any size -> (B, channels[0], H, W)."""
        *skips, decoded = features
        for join, modulations, block, skip in zip(self.joins, self.modulations, self.blocks, reversed(skips), strict=True):
            decoded = join(decoded, skip)
            for modulation, condition in zip(modulations.children(), conditions, strict=True):
                decoded = modulation(decoded, condition)
            decoded = block(decoded)
        refined: Tensor = self.last(decoded)
        return refined


class Guidance(nn.Module):
    """Detaches a conditioning map; see `shuffle_guidance`."""

    def forward(self, condition: Tensor) -> Tensor:
        """(B, C, h, w) -> the same, detached."""
        return condition.detach()


def shuffle_guidance(network: nn.Module) -> None:
    """Condition the decoder on the previous image of the batch, or on zeros for a batch of one. Not part of the saved weights."""
    for module in network.modules():
        if isinstance(module, Guidance):
            module.register_forward_hook(lambda _module, _inputs, given: given.roll(1, 0) if len(given) > 1 else torch.zeros_like(given))


class Modulation(nn.Module):
    """Spatial feature-wise linear modulation (FiLM, Perez et al. 2018): features * (1 + scale) + shift. Identity at initialisation."""

    output_layers = ("linear",)

    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(condition, 2 * channels, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """(B, channels, H, W), (B, condition, h, w) -> (B, channels, H, W)."""
        if condition.shape[2:] != (1, 1):
            condition = F.adaptive_avg_pool2d(condition, (features.shape[2], features.shape[3]))
        scale, shift = self.linear(condition).chunk(2, dim=1)
        modulated: Tensor = features * (1 + scale) + shift
        return modulated


class Join(nn.Module):
    """A coarse and a finer map -> (B, fine, H, W): a 1x1 convolution of the two, concatenated at the finer resolution.

    Computed as the sum of one convolution for each map, the coarse one's before upsampling, which is equivalent at a quarter of the cost.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(coarse, fine, 1, bias=False)
        self.fine = nn.Conv2d(fine, fine, 1, bias=False)
        self.norm = nn.BatchNorm2d(fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, h, w), (B, fine, H, W) -> (B, fine, H, W)."""
        enlarged = F.interpolate(self.coarse(coarse), size=fine.shape[2:], mode="nearest")
        return F.relu(self.norm(self.fine(fine).add_(enlarged)), inplace=True)
