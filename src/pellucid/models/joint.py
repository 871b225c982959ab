"""The joint network: a shared encoder, a class head, and a decoder that restores the image from the same features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.config import ModelConfig
from pellucid.models.decoder import Decoder, Guidance
from pellucid.models.encoder import Encoder
from pellucid.models.heads import ClassHead, DamageHead, RestorationHead


class JointNet(nn.Module):
    """Two-task network; with one task's head omitted, a single-task arm of the same architecture.

    Images (B, 3, H, W) in [0, 1], any H and W from 8 up -> `Output`. Figure 1 of the paper, with the decoder on the encoder's features.
    damages: the kinds of damage that the damage head distinguishes; without any there is no such head; load: see `Encoder`.
    """

    def __init__(self, config: ModelConfig, num_classes: int, damages: Sequence[str] = (), load: bool = True) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, load)
        channels, reductions = self.encoder.channels, self.encoder.reductions
        patch, decoder = config.encoder.patch, config.decoder
        self.size_multiple = patch * reductions[-1]
        finest, enlargement = channels[0], patch * reductions[0]
        classifies, restores = config.tasks != "restore", config.tasks != "classify"
        self._reads_class = classifies and decoder.condition_on_class
        self._reads_damage = bool(damages) and decoder.condition_on_damage
        conditions = [num_classes] * self._reads_class + [2 * len(damages) + 1] * self._reads_damage

        self.class_head = ClassHead(channels[-1], num_classes) if classifies else None
        self.decoder = Decoder(channels, decoder.blocks, conditions) if restores else None
        self.restoration_head = RestorationHead(finest, enlargement, decoder.detail_width) if restores else None
        self.damage_head = DamageHead(finest, enlargement, len(damages)) if config.damage_head and damages else None
        self.guidance = Guidance()

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> `Output`, with restored images (B, 3, H, W) not clamped."""
        return crop(self.core(pad_to_multiple(images, self.size_multiple)), images)

    def core(self, images: Tensor) -> Output:
        """The same for images whose height and width are multiples of `size_multiple`."""
        inputs = normalise(images)
        features = self.encoder(F.pixel_unshuffle(inputs, self.config.encoder.patch))
        damage = Output() if self.damage_head is None else self.damage_head(features[0])
        logits = None if self.class_head is None else self.class_head(features[-1])
        restored = None
        if self.decoder is not None and self.restoration_head is not None:
            decoded = self.decoder(self._decoder_input(features), self._conditions(logits, damage))
            restored = images + self.restoration_head(decoded, inputs)
        return Output(logits, restored, damage.presence, damage.strength, damage.mask)

    def _decoder_input(self, features: list[Tensor]) -> list[Tensor]:
        """The feature maps for the decoder: with `last_stage` `read` and a class head, the last one is detached."""
        *finer, coarsest = features
        trains_last = self.class_head is None or self.config.decoder.last_stage == "shared"
        return [*finer, coarsest if trains_last else coarsest.detach()]

    def _conditions(self, logits: Tensor | None, damage: Output) -> list[Tensor]:
        """The maps (B, C, h, w) that modulate the decoder: class probabilities and damage estimate."""
        conditions = []
        if self._reads_class and logits is not None:
            conditions.append(logits.softmax(1)[:, :, None, None])
        if self._reads_damage and damage.presence is not None and damage.strength is not None and damage.mask is not None:
            per_image = torch.cat([damage.presence.sigmoid(), damage.strength.log()], 1)[:, :, None, None]
            conditions.append(torch.cat([per_image.expand(-1, -1, *damage.mask.shape[2:]), damage.mask.sigmoid()], 1))
        return [self.guidance(condition) for condition in conditions]


def normalise(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1], the range of the paper (section 5.1)."""
    return images * 2 - 1


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Replicate-pad bottom and right until height and width are multiples: (B, 3, H, W) -> (B, 3, H', W')."""
    height, width = images.shape[2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images


def crop(output: Output, images: Tensor) -> Output:
    """Crop an output for padded images to the size of `images` (B, 3, H, W)."""
    height, width = images.shape[2:]
    restored, mask = (None if each is None else each[..., :height, :width] for each in (output.restored, output.mask))
    return output._replace(restored=restored, mask=mask)
