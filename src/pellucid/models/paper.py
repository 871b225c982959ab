"""The paper's code as printed (section 5.2), kept as a baseline: the U-Net reads the image, so the two tasks share nothing."""

from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.blocks import conv_block
from pellucid.models.config import ModelConfig
from pellucid.models.decoder import Decoder
from pellucid.models.encoder import Encoder
from pellucid.models.heads import ClassHead
from pellucid.models.joint import normalise, pad


class PaperListing(nn.Module):
    """`JointClassificationReconstruction`: extractor and class head beside a U-Net from image to image.

    The paper names `UNetGenerator(3, 3)` without printing it; here it is a U-Net with the widths of the extractor.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.class_head = ClassHead(self.encoder.channels[-1], num_classes)
        self.unet = UNet(self.encoder.channels)
        self.size_multiple = max(self.encoder.reductions[-1], 2 ** (len(self.encoder.channels) - 1))

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> logits (B, num_classes) and restored images (B, 3, H, W), not clamped."""
        inputs = normalise(pad(images, self.size_multiple))
        logits = self.class_head(self.encoder(inputs)[-1])
        restored = (self.unet(inputs)[..., : images.shape[2], : images.shape[3]] + 1) / 2
        return Output(logits, restored)


class UNet(nn.Module):
    """Image in [-1, 1] -> image in [-1, 1], (B, 3, H, W), H and W multiples of 2 ** (len(widths) - 1)."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(*([nn.MaxPool2d(2)] if i else []), conv_block(before, width), conv_block(width, width))
            for i, (before, width) in enumerate(zip([3, *widths], widths, strict=False))
        )
        self.decoder = Decoder(widths)
        self.last = nn.Conv2d(widths[0], 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W)."""
        features = []
        for stage in self.down:
            images = stage(images)
            features.append(images)
        restored: Tensor = self.last(self.decoder(features))
        return restored
