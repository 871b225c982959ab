"""Images -> `Output`: an encoder from timm, a U-Net decoder on its features, and a head for each task.

>>> import torch
>>> from pellucid.models import EncoderConfig, ModelConfig, build_model
>>> model = build_model(ModelConfig(encoder=EncoderConfig(widths=(16, 32, 64), depths=(1, 1, 1))), num_classes=10)
>>> output = model(torch.rand(2, 3, 33, 47))
>>> tuple(output.logits.shape), tuple(output.restored.shape)
((2, 10), (2, 3, 33, 47))
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pellucid.models.config import DecoderConfig, EncoderConfig, ModelConfig, model_config

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DecoderConfig", "EncoderConfig", "ModelConfig", "build_model", "model_config"]


def build_model(config: ModelConfig, num_classes: int, damages: Sequence[str] = (), load: bool = True) -> "nn.Module":
    """The network of a configuration; raises `UserError` if its encoder is unknown or can't be built with these settings.

    damages: the kinds of damage that a damage head distinguishes; load: read the encoder's pretrained weights, if it has any; not for a
    model whose weights come from elsewhere.
    """
    from pellucid.models.joint import JointNet
    from pellucid.models.paper import PaperListing
    from pellucid.models.sequential import Sequential

    match config.architecture:
        case "paper-listing":
            return PaperListing(config, num_classes, load)
        case "sequential":
            return Sequential(config, num_classes, damages, load)
        case _:
            return JointNet(config, num_classes, damages, load)
