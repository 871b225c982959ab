"""The U-Net decoder, fed by the extractor's features (Ronneberger et al. 2015)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models.blocks import ResidualBlock, conv_block


class Decoder(nn.Module):
    """Feature maps, finest first -> a decoded map for each but the coarsest, like it in shape; a single map comes back as it is.

    From the coarsest map upward: enlarge to the next finer map, join the two, modulate, refine.

    Args:
        channels: channels of each feature map, finest first; each stage leaves as many as the map that it joined.
        num_blocks: residual blocks at the finest resolution.
        conditions: channels of each map that modulates the stages.
    """

    def __init__(self, channels: Sequence[int], num_blocks: int = 0, conditions: Sequence[int] = ()) -> None:
        super().__init__()
        self.joins = nn.ModuleList(Join(coarse, fine) for coarse, fine in zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.modulations = nn.ModuleList(Modulations(conditions, fine) for fine in channels[-2::-1])
        self.blocks = nn.ModuleList(conv_block(fine, fine) for fine in channels[-2::-1])
        self.last = nn.Sequential(*(ResidualBlock(channels[0]) for _ in range(num_blocks)))

    def forward(self, features: Sequence[Tensor], conditions: Sequence[Tensor] = ()) -> list[Tensor]:
        """Feature maps, finest first, and conditions (B, C, h, w) of any size -> decoded maps, finest first."""
        *skips, decoded = features
        maps: list[Tensor] = []
        for join, modulate, block, skip in zip(self.joins, self.modulations, self.blocks, reversed(skips), strict=True):
            decoded = block(modulate(join(decoded, skip), conditions))
            maps.insert(0, decoded)
        return [self.last(decoded), *maps[1:]]


class Modulations(nn.ModuleList):
    """Several modulations in turn; none leaves the features as they are."""

    def __init__(self, conditions: Sequence[int], channels: int) -> None:
        super().__init__(Modulation(width, channels) for width in conditions)

    def forward(self, features: Tensor, conditions: Sequence[Tensor]) -> Tensor:
        """(B, channels, H, W) and a map for each modulation -> (B, channels, H, W)."""
        for modulation, condition in zip(self, conditions, strict=True):
            features = modulation(features, condition)
        return features


class Modulation(nn.Module):
    """Feature-wise linear modulation (Perez et al. 2018, FiLM), by place: features * (1 + scale) + shift. Starts as the identity."""

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
