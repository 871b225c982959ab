"""Test-time augmentation: averages the outputs for an image and its horizontal flip."""

from torch import Tensor, nn

from pellucid.batch import Output


class Mirrored(nn.Module):
    """The mean of a network's outputs for images (B, 3, H, W) and for their horizontal flips, flipped back; twice the cost."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> `Output`: the mean of every field."""
        one: Output = self.network(images)
        other: Output = self.network(images.flip(3))
        turned = other._replace(
            restored=None if other.restored is None else other.restored.flip(3), mask=None if other.mask is None else other.mask.flip(3)
        )
        return Output(
            *(None if first is None or second is None else (first + second) / 2 for first, second in zip(one, turned, strict=True))
        )
