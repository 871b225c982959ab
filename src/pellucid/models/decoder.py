"""The U-Net decoder, fed by the extractor's features (Ronneberger et al. 2015)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models.blocks import ResidualBlock, conv_block


class Decoder(nn.Module):
    """Feature maps, finest first -> one map (B, channels[0], H / reductions[0], W / reductions[0]).

    From the coarsest map upward: enlarge to the next finer map, join the two, refine.

    Args:
        channels: channels of each feature map, finest first; each stage leaves as many as the map that it joined.
        num_blocks: residual blocks after each join.
    """

    def __init__(self, channels: Sequence[int], num_blocks: int = 0) -> None:
        super().__init__()
        self.joins = nn.ModuleList(Join(coarse, fine) for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.blocks = nn.ModuleList(
            nn.Sequential(conv_block(fine, fine), *(ResidualBlock(fine) for _ in range(num_blocks))) for fine in channels[-2::-1]
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Feature maps, finest first -> the decoded map at the resolution of the finest."""
        *skips, decoded = features
        for join, block, skip in zip(self.joins, self.blocks, reversed(skips), strict=True):
            decoded = block(join(decoded, skip))
        return decoded


class Join(nn.Module):
    """A coarse and a finer map -> (B, fine, H, W): a 1x1 convolution of the two, stacked at the finer resolution.

    Computed as the sum of one convolution for each map, the coarse one's before it is enlarged, which is the same and costs a quarter.
    """

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(coarse, fine, 1, bias=False)
        self.fine = nn.Conv2d(fine, fine, 1, bias=False)
        self.norm = nn.BatchNorm2d(fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, h, w), (B, fine, H, W) -> (B, fine, H, W)."""
        enlarged = F.interpolate(self.coarse(coarse), size=fine.shape[2:], mode="nearest")
        return F.relu(self.norm(enlarged + self.fine(fine)))
