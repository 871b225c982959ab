"""The joint network: a shared extractor, a class head on it, and a decoder that restores the image from the same features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.blocks import conv_block
from pellucid.models.config import Guidance, ModelConfig
from pellucid.models.decoder import Decoder
from pellucid.models.encoder import Encoder
from pellucid.models.heads import ClassHead, DamageHead, Feedback, RestorationHead


class JointNet(nn.Module):
    """One network, two answers; with one of its two heads left out, a single-task arm with the same anatomy.

    Images (B, 3, H, W) in [0, 1], any H and W from 8 up -> `Output`. Figure 1 of the paper, the restorer reading the extractor's features.
    damages: the names of the degradations that the damage head tells apart.
    """

    def __init__(self, config: ModelConfig, num_classes: int, damages: Sequence[str] = ()) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        channels, reductions = self.encoder.channels, self.encoder.reductions
        self.size_multiple = config.patch * reductions[-1]
        finest, coarsest, enlargement = channels[0], channels[-1], config.patch * reductions[0]
        finer = channels[:-1]
        self._reads_last = config.last_stage != "private" or not finer
        context = config.context_width if finer else 0
        read = [*finer, last] if (last := self._reads_last * coarsest + context) else finer
        classifies, restores = config.arm != "restore", config.arm != "classify"
        self._reads_class = classifies and restores and config.class_to_decoder != "off"
        self._reads_decoded = classifies and restores and config.decoded_to_class != "off"
        conditions = [coarsest] * self._reads_class + [2 * len(damages) + 1] * (config.damage_to_decoder != "off")

        self.class_head = ClassHead(coarsest, num_classes) if classifies else None
        self.context = (
            nn.Sequential(conv_block(finer[-1], context, reductions[-1] // reductions[-2]), conv_block(context, context))
            if restores and context
            else None
        )
        self.decoder = Decoder(read, config.decoder_blocks, conditions) if restores else None
        self.restoration_head = RestorationHead(finest, enlargement, config.detail_width) if restores else None
        self.feedback = Feedback(read[:-1], [reductions[-1] // r for r in reductions], coarsest) if self._reads_decoded else None
        self.damage_head = DamageHead(finest, enlargement, len(damages)) if config.damage_head else None

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> `Output`, its restored images (B, 3, H, W) not clamped."""
        inputs = normalise(pad(images, self.size_multiple))
        features = self.encoder(F.pixel_unshuffle(inputs, self.config.patch))
        answer = Output()
        if self.damage_head is not None:
            presence, strength, hole = self.damage_head(features[0])
            answer = answer._replace(presence=presence, strength=strength, hole=crop(hole, images))
        coarsest = features[-1]
        if self.decoder is not None and self.restoration_head is not None:
            decoded = self.decoder(self._readable(features), self._conditions(coarsest, answer))
            answer = answer._replace(restored=images + crop(self.restoration_head(decoded[0], inputs), images))
            if self.feedback is not None:
                coarsest = self.feedback(coarsest, [tell(each, self.config.decoded_to_class) for each in decoded])
        if self.class_head is not None:
            answer = answer._replace(logits=self.class_head(coarsest))
        return answer

    def _readable(self, features: list[Tensor]) -> list[Tensor]:
        """The feature maps that the decoder starts from."""
        *finer, coarsest = features
        last = []
        if self._reads_last:
            last.append(coarsest.detach() if self.config.last_stage == "read" and self.class_head is not None else coarsest)
        if self.context is not None:
            last.append(self.context(finer[-1]))
        return [*finer, torch.cat(last, 1)] if last else finer

    def _conditions(self, coarsest: Tensor, found: Output) -> list[Tensor]:
        """The maps (B, C, h, w) that modulate the decoder."""
        conditions = []
        if self._reads_class:
            conditions.append(tell(coarsest.mean((2, 3), keepdim=True), self.config.class_to_decoder).detach())
        if self.config.damage_to_decoder != "off" and found.presence is not None and found.strength is not None and found.hole is not None:
            everywhere = torch.cat([found.presence.sigmoid(), found.strength.log()], 1)[:, :, None, None].expand(
                -1, -1, *found.hole.shape[2:]
            )
            conditions.append(tell(torch.cat([everywhere, found.hole.sigmoid()], 1), self.config.damage_to_decoder).detach())
        return conditions


def tell(found: Tensor, guidance: Guidance) -> Tensor:
    """What one part found of each image, for another part; `shuffled`, of the image before it in the batch: (B, ...) -> (B, ...)."""
    return found.roll(1, 0) if guidance == "shuffled" else found


def crop(padded: Tensor, images: Tensor) -> Tensor:
    """The part of (B, C, H', W') that `images` (B, 3, H, W) cover."""
    return padded[..., : images.shape[2], : images.shape[3]]


def normalise(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1], the range of the paper (section 5.1)."""
    return images * 2 - 1


def pad(images: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples: (B, 3, H, W) -> (B, 3, H', W')."""
    height, width = images.shape[2:]
    below, right = -height % multiple, -width % multiple
    return F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images
