"""The settings of a model, readable without loading torch."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UserError
from pellucid.settings import Settings, setting

Arm = Literal["joint", "classify", "restore", "sequential", "paper-listing"]
Stem = Literal["standard", "small"]
Guidance = Literal["off", "on", "shuffled"]
"""Whether one part tells another what it found; `shuffled` tells it of another image of the batch, which is the control."""


@dataclass(frozen=True)
class ModelConfig(Settings):
    """One network, from its encoder to its heads.

    Args:
        arm: `joint` for both tasks, `classify` or `restore` for one of them with the same parts, `paper-listing` for the printed code of
            the paper, in which the U-Net reads the image and nothing is shared.
        encoder: name of a timm feature extractor, such as `resnet18` or `convnext_atto`.
        pretrained: start the encoder from timm's pretrained weights.
        stem: `standard` as timm builds it, for photographs; `small` without its downsampling, for images under about 96 pixels.
        patch: pixels of a patch of `patch` x `patch` enter the encoder as channels (pixel unshuffle), and leave the decoder likewise. 2
            halves every feature map: four times less to compute at the same widths.
        widths: channels of each encoder stage in place of the encoder's own (ResNets and ConvNeXts).
        depths: blocks of each encoder stage in place of the encoder's own (ResNets and ConvNeXts).
        last_stage: what the decoder has of the encoder's last stage: `shared` reads and trains it, `read` leaves its training to the class
            head, where there is one, `private` does without it.
        context_width: channels of a last stage of the restorer's own, beside what it has of the encoder's; 0 for none.
        decoder_blocks: residual blocks at the end of the decoder, at its finest resolution.
        detail_width: channels at full resolution in the restoration head.
        decoded_to_class: the class head reads the decoder's maps beside the encoder's last one.
        class_to_decoder: the encoder's last features modulate the decoder; its gradient ends there.
        damage_head: estimate kind and strength of the damage, and the hole.
        damage_to_decoder: that estimate modulates the decoder; its gradient ends there.
    """

    arm: Arm = "joint"
    encoder: str = "resnet18"
    pretrained: bool = False
    stem: Stem = "small"
    patch: int = setting(1, least=1)
    widths: tuple[int, ...] | None = setting(None, least=1)
    depths: tuple[int, ...] | None = setting(None, least=1)
    last_stage: Literal["shared", "read", "private"] = "shared"
    context_width: int = setting(0, least=0)
    decoder_blocks: int = setting(0, least=0)
    detail_width: int = setting(8, least=1)
    decoded_to_class: Guidance = "off"
    class_to_decoder: Guidance = "off"
    damage_head: bool = False
    damage_to_decoder: Guidance = "off"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.damage_to_decoder != "off" and not self.damage_head:
            raise UserError("Expected a damage_head where damage_to_decoder is on, found none; set damage_head to true.")
        if self.widths and self.depths and len(self.widths) != len(self.depths):
            raise UserError(f"Expected as many depths as widths ({len(self.widths)}), found {len(self.depths)}.")
