"""The paper's code as printed (section 5.2), as a baseline: the U-Net reads the image, so the two tasks share nothing."""

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.blocks import conv_block
from pellucid.models.config import ModelConfig
from pellucid.models.decoder import Decoder
from pellucid.models.encoder import Encoder
from pellucid.models.heads import ClassHead
from pellucid.models.joint import crop, normalise, pad_to_multiple


class PaperListing(nn.Module):
    """`JointClassificationReconstruction`: encoder and class head, and a separate image-to-image U-Net.

    The paper does not print its `UNetGenerator(3, 3)`; here it is a U-Net with the widths of the encoder.
    """

    def __init__(self, config: ModelConfig, num_classes: int, load: bool = True) -> None:
        super().__init__()
        self.patch = config.encoder.patch
        self.encoder = Encoder(config.encoder, load)
        self.class_head = ClassHead(self.encoder.channels[-1], num_classes)
        self.unet = UNet(self.encoder.channels, 3 * self.patch**2)
        self.size_multiple = self.patch * max(self.encoder.reductions[-1], 2 ** (len(self.encoder.channels) - 1))

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> logits (B, num_classes) and restored images (B, 3, H, W), not clamped."""
        inputs = normalise(pad_to_multiple(images, self.size_multiple))
        patches = F.pixel_unshuffle(inputs, self.patch)
        logits = self.class_head(self.encoder(patches)[-1])
        restored = F.pixel_shuffle(self.unet(patches), self.patch)
        return crop(Output(logits, (restored + 1) / 2), images)


class UNet(nn.Module):
    """Image in [-1, 1] -> image in [-1, 1], (B, channels, H, W), H and W multiples of 2 ** (len(widths) - 1)."""

    output_layers = ("last",)

    def __init__(self, widths: list[int], channels: int = 3) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(*([nn.MaxPool2d(2)] if i else []), conv_block(before, width), conv_block(width, width))
            for i, (before, width) in enumerate(zip([channels, *widths], widths, strict=False))
        )
        self.decoder = Decoder(widths)
        self.last = nn.Conv2d(widths[0], channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        features = []
        for stage in self.down:
            images = stage(images)
            features.append(images)
        restored: Tensor = self.last(self.decoder(features))
        return restored
