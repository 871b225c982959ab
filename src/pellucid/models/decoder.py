"""The U-Net decoder, fed by the extractor's features (Ronneberger et al. 2015)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models.blocks import ResidualBlock, conv_block


class Decoder(nn.Module):
    """Feature maps, finest first -> one map (B, channels[0], H / reductions[0], W / reductions[0]).

    From the coarsest map upward: enlarge to the next finer map, join the two, fuse by a 3x3 convolution.

    Args:
        channels: channels of each feature map, finest first; each stage leaves as many as the map that it joined.
        num_blocks: residual blocks after each fusion.
    """

    def __init__(self, channels: Sequence[int], num_blocks: int = 0) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(conv_block(coarse + fine, fine), *(ResidualBlock(fine) for _ in range(num_blocks)))
            for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Feature maps, finest first -> the decoded map at the resolution of the finest."""
        *skips, decoded = features
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            decoded = stage(torch.cat([F.interpolate(decoded, size=skip.shape[2:], mode="nearest"), skip], dim=1))
        return decoded
