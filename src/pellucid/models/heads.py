"""The output heads: class from the coarsest features, image from the decoded ones, damage from the finest ones.

Modules list their `output_layers`, which an optimiser may treat differently from hidden layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.batch import Output


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
    """Decoded features and the degraded image -> the residual to add to that image, on the [0, 1] scale.

    The features are upsampled to full resolution by a pixel shuffle (Shi et al. 2016) and added to one convolution of the image itself:
    without it, fine detail has to pass through the encoder's coarser maps (1.1 dB lost with `patch` 2 in short trials).
    """

    output_layers = ("residual",)

    def __init__(self, channels: int, reduction: int, width: int) -> None:
        super().__init__()
        self.reduction = reduction
        self.enlarge = nn.Conv2d(channels, width * reduction**2, 1)
        self.detail = nn.Conv2d(3, width, 3, padding=1)
        self.residual = nn.Conv2d(width, 3, 3, padding=1)
        # Initialise near the identity: a small residual.
        self.residual.weight.data.mul_(0.1)
        nn.init.zeros_(self.residual.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, images: Tensor) -> Tensor:
        """(B, channels, H / reduction, W / reduction) and images (B, 3, H, W) in [-1, 1] -> residual (B, 3, H, W)."""
        enlarged = F.pixel_shuffle(self.enlarge(features), self.reduction)
        residual: Tensor = self.residual(F.relu(self.detail(images).add_(enlarged), inplace=True))
        return residual


class DamageHead(nn.Module):
    """The finest features -> the fields of `Output` on the damage.

    A 1x1 convolution projects the features to a few maps: kind and strength are predicted from their spatial mean and standard deviation,
    the mask at each location.
    """

    output_layers = ("linear", "last")

    def __init__(self, channels: int, reduction: int, num_damages: int, width: int = 16) -> None:
        super().__init__()
        self.reduction = reduction
        self.look = nn.Conv2d(channels, width, 1)
        self.linear = nn.Linear(2 * width, 2 * num_damages)
        self.last = nn.Conv2d(width, reduction**2, 1)

    def forward(self, features: Tensor) -> Output:
        """(B, C, h, w) -> presence, strength and mask, the mask at `reduction` times that size."""
        maps = F.relu(self.look(features), inplace=True)
        values = maps.flatten(2).float()
        mean = values.mean(2, keepdim=True)
        variance = (values - mean).square().sum(2) / (values.shape[2] - 1)  # torch.var takes ten times as long on a CPU
        statistics = torch.cat([mean.squeeze(2), variance.add(1e-6).sqrt()], 1)
        presence, strength = self.linear(statistics).float().chunk(2, dim=1)
        mask = F.pixel_shuffle(self.last(maps), self.reduction)
        return Output(presence=presence, strength=strength.exp(), mask=mask)
