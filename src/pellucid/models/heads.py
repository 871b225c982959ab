"""What the network says: a class from the coarsest features, an image from the decoded ones."""

import torch.nn.functional as F
from torch import Tensor, nn


class ClassHead(nn.Module):
    """Global average pooling and one linear layer, as in the paper's listing: (B, C, H, W) -> logits (B, num_classes)."""

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
