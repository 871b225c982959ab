"""The shared encoder: any timm feature extractor, with a stem suited to the image size."""

import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from pellucid.errors import UserError
from pellucid.models.config import EncoderConfig
from pellucid.models.lean_timm import timm
from pellucid.models.pretrained import read_weights, require_hub

RESNET, CONVNEXT = "timm.models.resnet", "timm.models.convnext"

ANY_SIZE = {
    "timm.models.swin_transformer": {"strict_img_size": False},
    "timm.models.swin_transformer_v2": {"strict_img_size": False},
    "timm.models.vision_transformer": {"dynamic_img_size": True},
}
"""Options with which encoders of fixed image size accept any size, by timm module."""


class Renormalise(nn.Module):
    """From [-1, 1] to the normalisation that timm's pretrained weights of an encoder were trained with.

    Args:
        name: of the encoder.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        source = timm.get_pretrained_cfg(name, allow_unregistered=True)
        self.mean: Sequence[float] = (0.5,) * 3 if source is None else source.mean
        self.std: Sequence[float] = (0.5,) * 3 if source is None else source.std

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W)."""
        mean, std = (images.new_tensor(each).view(-1, 1, 1) for each in (self.mean, self.std))
        return (images / 2 + 0.5 - mean) / std


class Encoder(nn.Module):
    """Images (B, 3 * patch**2, H, W) -> one feature map for each resolution, finest first.

    Map i has shape (B, channels[i], H / reductions[i], W / reductions[i]). Raises `UserError` for an unknown encoder, one of
    fixed image size, or one that does not support the requested stem, widths or depths.
    load: read pretrained weights; not for a model whose weights come from elsewhere.
    """

    def __init__(self, config: EncoderConfig, load: bool = True) -> None:
        super().__init__()
        if not timm.is_model(config.name):
            close = timm.list_models(f"*{config.name[:6]}*")[:4] or ["resnet18", "convnext_atto"]
            raise UserError(f"Expected the name of a timm encoder, found '{config.name}'; try {', '.join(close)}.")
        family = timm.model_entrypoint(config.name).__module__
        if family not in (RESNET, CONVNEXT) and (config.stem == "small" or config.widths or config.depths):
            raise UserError(
                f"Expected a ResNet or a ConvNeXt for a small stem, widths or depths, found {config.name}; choose one of those, or stem "
                "'standard' (images from about 96 pixels) without widths and depths."
            )
        stages = len(config.widths or config.depths or (0,) * 4)
        if family == CONVNEXT and stages != 4:
            raise UserError(f"Expected widths and depths for the four stages of {config.name}, found {stages}.")
        options = _options(config, family)
        if load and config.is_pretrained:
            options |= _pretrained(config)
        try:
            self.network = timm.create_model(config.name, features_only=True, in_chans=3 * config.patch**2, **options)
        except (RuntimeError, ValueError, ArithmeticError, AssertionError, MemoryError) as error:
            raise UserError(
                f"Expected widths and depths that {config.name} can have, found widths {config.widths} and depths {config.depths} "
                f"({textwrap.shorten(str(error), 120)}); choose others, such as 48 96 192."
            ) from error
        reductions = self.network.feature_info.reduction()
        if family == RESNET and config.stem == "small":
            _keep_resolution(self.network)
            reductions = [max(1, reduction // 4) for reduction in reductions]  # timm still reports the original stem's factor of 4
        # A stem without downsampling has the resolution of the first stage: keep the later map of the two.
        self._kept = [i for i, reduction in enumerate(reductions) if reduction not in reductions[i + 1 :]]
        self.channels: list[int] = [self.network.feature_info.channels()[i] for i in self._kept]
        self.reductions: list[int] = [reductions[i] for i in self._kept]
        self.learning_rate_factor: float = config.learning_rate
        self._frozen = config.frozen
        self.network.requires_grad_(not config.frozen)
        self._renormalise = Renormalise(config.name) if config.is_pretrained else nn.Identity()
        self._channels_last = False
        self._channels_last = self._probe(config)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen weights keep their batch statistics."""
        super().train(mode)
        if self._frozen:
            self.network.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3 * patch**2, H, W) in [-1, 1], H and W multiples of the last reduction -> feature maps, finest first."""
        features = self.network(self._renormalise(images))
        return [features[i].movedim(-1, 1) if self._channels_last else features[i] for i in self._kept]

    def _probe(self, config: EncoderConfig) -> bool:
        """Run a small image; true if the encoder outputs (B, H, W, C)."""
        side = 2 * self.reductions[-1]
        training = self.training
        try:
            with torch.no_grad():
                coarsest = self.eval()(torch.zeros(1, 3 * config.patch**2, side, side))[-1]
        except (AssertionError, RuntimeError) as error:
            raise UserError(f"Expected an encoder for images of any size, but {config.name} refused {side} x {side}: {error}") from None
        self.train(training)
        return bool(coarsest.shape[1] != self.channels[-1])


def _pretrained(config: EncoderConfig) -> dict[str, Any]:
    """The arguments of timm's constructor for pretrained weights."""
    logging.getLogger("timm.models._builder").setLevel(logging.ERROR)  # it warns of the classifier's weights, which no encoder needs
    if config.weights is None:
        require_hub(config.name)
        return {"pretrained": True}
    return {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": read_weights(Path(config.weights), config.name)}}


def _options(config: EncoderConfig, family: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(ANY_SIZE.get(family, {}))
    if family == RESNET:
        if config.widths:
            options["channels"] = config.widths
            if config.stem == "small":
                # timm fixes a plain stem at 64 channels; a deep one has 2 * `stem_width`, and `_keep_resolution` makes it plain.
                options |= {"stem_type": "deep", "stem_width": max(1, config.widths[0] // 2)}
        if config.depths:
            options["layers"] = config.depths
        if stages := config.widths or config.depths:
            options["out_indices"] = tuple(range(len(stages) + 1))
    elif family == CONVNEXT:
        if config.stem == "small":
            options["patch_size"] = 1
        if config.widths:
            options["dims"] = config.widths
        if config.depths:
            options["depths"] = config.depths
    return options


def _keep_resolution(resnet: Any) -> None:
    """Replace a ResNet's stem by a 3x3 convolution with stride 1, without pooling (He et al. 2016, section 4.2)."""
    first = next(module for module in resnet.conv1.modules() if isinstance(module, nn.Conv2d))
    conv = nn.Conv2d(first.in_channels, resnet.bn1.num_features, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    resnet.conv1 = conv
    resnet.maxpool = nn.Identity()
