"""Two networks in a row, the usual way of doing both: the first restores, the second names what is in the restored image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.config import ModelConfig
from pellucid.models.joint import JointNet


class Sequential(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> `Output`; the restorer is trained beforehand and stays as it is."""

    def __init__(self, config: ModelConfig, num_classes: int, damages: Sequence[str] = ()) -> None:
        super().__init__()
        self.restorer = JointNet(replace(config, arm="restore"), num_classes, damages).requires_grad_(False)
        self.classifier = JointNet(replace(config, arm="classify", damage_head=False, damage_to_decoder="off"), num_classes, damages)

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> logits of the restored images, and these, (B, 3, H, W), not clamped."""
        with torch.no_grad():
            found: Output = self.restorer(images)
        assert found.restored is not None
        answer: Output = self.classifier(found.restored.clamp(0, 1))
        return found._replace(logits=answer.logits)

    def train(self, mode: bool = True) -> Self:
        """Of the two, only the classifier trains."""
        super().train(mode)
        self.restorer.eval()
        return self
