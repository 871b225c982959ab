"""The joint network: a shared extractor, a class head on it, and a decoder that restores the image from the same features."""

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.config import ModelConfig
from pellucid.models.decoder import Decoder
from pellucid.models.encoder import Encoder
from pellucid.models.heads import ClassHead, RestorationHead


class JointNet(nn.Module):
    """One network, two answers; with one of its two heads left out, a single-task arm with the same anatomy.

    Images (B, 3, H, W) in [0, 1], any H and W from 8 up -> `Output`. Figure 1 of the paper, the restorer reading the extractor's features.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.patch = config.patch
        self.encoder = Encoder(config)
        channels, reductions = self.encoder.channels, self.encoder.reductions
        self.size_multiple = config.patch * reductions[-1]
        self.class_head = ClassHead(channels[-1], num_classes) if config.arm != "restore" else None
        self.decoder = Decoder(channels, config.decoder_blocks) if config.arm != "classify" else None
        self.restoration_head = (
            RestorationHead(channels[0], config.patch * reductions[0], config.detail_width) if config.arm != "classify" else None
        )

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> logits (B, num_classes) and restored images (B, 3, H, W), not clamped."""
        inputs = normalise(pad(images, self.size_multiple))
        features = self.encoder(F.pixel_unshuffle(inputs, self.patch))
        logits = restored = None
        if self.class_head is not None:
            logits = self.class_head(features[-1])
        if self.decoder is not None and self.restoration_head is not None:
            residual = self.restoration_head(self.decoder(features), inputs)
            restored = images + residual[..., : images.shape[2], : images.shape[3]]
        return Output(logits, restored)


def normalise(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1], the range of the paper (section 5.1)."""
    return images * 2 - 1


def pad(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples: (B, 3, H, W) -> (B, 3, H', W')."""
    height, width = images.shape[2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images
