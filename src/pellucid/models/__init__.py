"""Images -> `Output`: an encoder from timm, a U-Net decoder on its features, and a head for each task.

>>> import torch
>>> from pellucid.models import ModelConfig, build_model
>>> model = build_model(ModelConfig(encoder="resnet18", widths=(16, 32, 64), depths=(1, 1, 1)), num_classes=10)
>>> output = model(torch.rand(2, 3, 33, 47))
>>> tuple(output.logits.shape), tuple(output.restored.shape)
((2, 10), (2, 3, 33, 47))
"""

from typing import TYPE_CHECKING

from pellucid.models.config import ModelConfig

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelConfig", "build_model"]


def build_model(config: ModelConfig, num_classes: int) -> "nn.Module":
    """The network of a configuration; `UserError` if its encoder is unknown or can't be built as asked."""
    from pellucid.models.joint import JointNet
    from pellucid.models.paper import PaperListing

    network = PaperListing if config.arm == "paper-listing" else JointNet
    return network(config, num_classes)
