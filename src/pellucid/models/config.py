"""The settings of a model, readable without loading torch."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pellucid.errors import UserError
from pellucid.settings import Settings, setting

Architecture = Literal["joint", "sequential", "paper-listing"]
Tasks = Literal["both", "classify", "restore"]
Stem = Literal["standard", "small"]


@dataclass(frozen=True)
class EncoderConfig(Settings):
    """The shared feature extractor.

    Args:
        name: of a timm feature extractor, such as `resnet18` or `convnext_atto`.
        pretrained: start from timm's pretrained weights, with the normalisation that they were trained with.
        weights: start from the weights in this file instead, safetensors or a state dict, of the same encoder.
        frozen: leave the pretrained weights as they are.
        learning_rate: factor of the learning rate for the encoder.
        stem: `standard`, timm's, for photographs; `small`, without downsampling, for images under about 96 pixels.
        patch: pixel unshuffle factor at the input, and pixel shuffle factor at the output; 2 halves the side of every feature map, for a
            quarter of the computation at the same widths.
        widths: channels of each stage instead of the encoder's defaults (ResNets and ConvNeXts).
        depths: blocks of each stage instead of the encoder's defaults (ResNets and ConvNeXts).
    """

    name: str = "resnet18"
    pretrained: bool = False
    weights: str | None = None
    frozen: bool = False
    learning_rate: float = setting(1.0, above=0)
    stem: Stem = "small"
    patch: int = setting(1, least=1)
    widths: tuple[int, ...] | None = setting(None, least=1)
    depths: tuple[int, ...] | None = setting(None, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.widths and self.depths and len(self.widths) != len(self.depths):
            raise UserError(f"Expected as many depths as widths ({len(self.widths)}), found {len(self.depths)}.")
        if self.is_pretrained and (self.patch > 1 or self.widths or self.depths):
            raise UserError("Expected no patch, widths or depths with pretrained weights, which fit the encoder as it is; leave them out.")
        if self.frozen and not self.is_pretrained:
            raise UserError("Expected pretrained weights in a frozen encoder, found none; set pretrained or weights.")
        if self.frozen and self.learning_rate != 1:
            raise UserError(f"Expected no learning_rate of a frozen encoder, found {self.learning_rate}; set it to 1.")

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from pretrained weights, of either origin."""
        return self.pretrained or self.weights is not None


@dataclass(frozen=True)
class DecoderConfig(Settings):
    """The U-Net decoder and the restoration head.

    Args:
        last_stage: whether the decoder also trains the encoder's last stage, `shared`, or reads it detached if there is a class head,
            `read`.
        blocks: residual blocks at the end of the decoder, at its finest resolution.
        detail_width: channels at full resolution in the restoration head.
        condition_on_class: the class probabilities, detached, modulate the decoder.
        condition_on_damage: the damage head's estimate, detached, modulates the decoder.
    """

    last_stage: Literal["shared", "read"] = "shared"
    blocks: int = setting(0, least=0)
    detail_width: int = setting(8, least=1)
    condition_on_class: bool = False
    condition_on_damage: bool = False


@dataclass(frozen=True)
class ModelConfig(Settings):
    """One network, from its encoder to its heads.

    Args:
        architecture: `joint` shares one encoder; `sequential` is a classifier of the output of a frozen restorer; `paper-listing` is the
            paper's printed code, in which the U-Net reads the image and nothing is shared.
        tasks: `both`, or one of them with the same modules, for the architecture `joint`.
        encoder: the shared feature extractor.
        decoder: the U-Net decoder and the restoration head.
        damage_head: estimate the kind and the strength of the damage, and the mask.
    """

    architecture: Architecture = "joint"
    tasks: Tasks = "both"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    damage_head: bool = False

    @property
    def name(self) -> str:
        """The architecture, or the single task."""
        return self.architecture if self.tasks == "both" else self.tasks

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tasks != "both" and self.architecture != "joint":
            raise UserError(
                f"Expected both tasks with architecture '{self.architecture}', found '{self.tasks}'; choose 'joint' for one task."
            )
        if self.decoder.condition_on_damage and not self.damage_head:
            raise UserError("Expected a damage_head where decoder.condition_on_damage is on, found none; set damage_head to true.")


def model_config(plain: dict[str, Any]) -> ModelConfig:
    """The settings of a saved model, plain values as in its `config.json`."""
    nested = dict(plain)
    encoder: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in nested.pop("encoder", {}).items()
    }
    decoder = nested.pop("decoder", {})
    return ModelConfig(encoder=EncoderConfig(**encoder), decoder=DecoderConfig(**decoder), **nested)
