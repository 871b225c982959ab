"""The sequential baseline: a restorer, followed by a classifier of the restored image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.config import DecoderConfig, ModelConfig
from pellucid.models.joint import JointNet


class Sequential(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> `Output`; the restorer is pretrained and frozen."""

    def __init__(self, config: ModelConfig, num_classes: int, damages: Sequence[str] = (), load: bool = True) -> None:
        super().__init__()
        restorer = replace(config, architecture="joint", tasks="restore")
        classifier = replace(config, architecture="joint", tasks="classify", damage_head=False, decoder=DecoderConfig())
        self.restorer = JointNet(restorer, num_classes, damages, load).requires_grad_(False)
        self.classifier = JointNet(classifier, num_classes, damages, load)

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> logits of the restored images, and the restored images (B, 3, H, W), not clamped."""
        with torch.no_grad():
            output: Output = self.restorer(images)
        assert output.restored is not None
        classified: Output = self.classifier(output.restored.clamp(0, 1))
        return output._replace(logits=classified.logits)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the classifier; the restorer stays in evaluation mode."""
        super().train(mode)
        self.restorer.eval()
        return self
