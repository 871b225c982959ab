"""The output heads: a class from the coarsest features, an image from the decoded ones, the damage from the finest ones.

Modules name their `output_layers`, which an optimiser may treat otherwise than the hidden ones.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassHead(nn.Module):
    """Global average pooling and one linear layer, as in the paper's listing: (B, C, H, W) -> logits (B, num_classes)."""

    output_layers = ("linear",)

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, num_classes)."""
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


class RestorationHead(nn.Module):
    """Decoded features and the damaged image -> what to add to that image, on the [0, 1] scale.

    The features are enlarged to full resolution by a pixel shuffle (Shi et al. 2016) and joined by a shallow look at the image itself:
    without it, fine detail has to pass through the extractor's coarser maps (1.1 dB lost with `patch` 2 in short trials).
    """

    output_layers = ("residual",)

    def __init__(self, channels: int, reduction: int, width: int) -> None:
        super().__init__()
        self.reduction = reduction
        self.enlarge = nn.Conv2d(channels, width * reduction**2, 1)
        self.detail = nn.Conv2d(3, width, 3, padding=1)
        self.residual = nn.Conv2d(width, 3, 3, padding=1)
        # Training starts near the identity: an untrained residual should not first have to be unlearned.
        self.residual.weight.data.mul_(0.1)
        nn.init.zeros_(self.residual.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, images: Tensor) -> Tensor:
        """(B, channels, H / reduction, W / reduction) and images (B, 3, H, W) in [-1, 1] -> residual (B, 3, H, W)."""
        enlarged = F.pixel_shuffle(self.enlarge(features), self.reduction)
        residual: Tensor = self.residual(F.relu(enlarged + self.detail(images)))
        return residual


class Feedback(nn.Module):
    """Joins decoded maps to the encoder's last one, so that the class is read off what the restorer found, too.

    Each map comes down to the coarsest resolution by a convolution whose kernel is its stride; their sum is added to the last map.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], coarsest: int) -> None:
        super().__init__()
        self.shrink = nn.ModuleList(
            nn.Conv2d(width, coarsest, stride, stride, bias=False) for width, stride in zip(channels, strides, strict=False)
        )
        self.norm = nn.BatchNorm2d(coarsest)

    def forward(self, coarsest: Tensor, decoded: Sequence[Tensor]) -> Tensor:
        """(B, C, h, w) and finer maps -> (B, C, h, w)."""
        found: Tensor = sum((shrink(each) for shrink, each in zip(self.shrink, decoded, strict=True)), start=torch.zeros_like(coarsest))
        return F.relu(coarsest + self.norm(found))


class DamageHead(nn.Module):
    """The finest features -> what was done to the image.

    A few maps are made of the features: kind and strength are read off their mean and deviation over the image, the hole off each place.
    """

    output_layers = ("linear", "last")

    def __init__(self, channels: int, reduction: int, num_damages: int, width: int = 16) -> None:
        super().__init__()
        self.reduction = reduction
        self.look = nn.Conv2d(channels, width, 1)
        self.linear = nn.Linear(2 * width, 2 * num_damages)
        self.last = nn.Conv2d(width, reduction**2, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, h, w) -> logits of presence (B, K), strengths (B, K) where present, logits of the hole (B, 1, H, W)."""
        maps = F.relu(self.look(features))
        statistics = torch.cat([maps.mean((2, 3)), maps.float().var((2, 3)).add(1e-6).sqrt()], 1)
        presence, strength = self.linear(statistics).float().chunk(2, dim=1)
        hole = F.pixel_shuffle(self.last(maps), self.reduction)
        return presence, strength.exp(), hole
