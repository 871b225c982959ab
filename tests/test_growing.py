"""Larger networks with the weights of smaller ones."""

import pytest
import torch
from torch import Tensor, nn

from pellucid.models import build_model
from pellucid.models.config import DecoderConfig, EncoderConfig, ModelConfig
from pellucid.models.growing import load_smaller


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def network(*widths: int, detail: int = 8, classes: int = 10, **settings) -> nn.Module:
    """A joint network whose batch statistics, scales and biases are random, as after a training."""
    encoder = EncoderConfig(patch=2, widths=widths, **{"depths": (1,) * len(widths)} | settings)
    built = build_model(ModelConfig(encoder=encoder, decoder=DecoderConfig(detail_width=detail), damage_head=True), classes, ("jpeg",))
    for values in [*built.parameters(), *built.buffers()]:
        if values.ndim == 1:
            nn.init.uniform_(values, 0.5, 1.5)
    return built.eval()


def outputs(built: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return list(built(images))


@pytest.mark.parametrize(("widths", "detail", "depths"), [
    ((8, 24, 40), 8, (1, 1, 1)),
    ((12, 16, 32), 12, (1, 1, 1)),
    ((8, 16, 32), 8, (1, 1, 1)),
    ((8, 16, 32), 8, (2, 1, 3)),
    ((8, 24, 40), 12, (1, 2, 2)),
])  # fmt: skip
def test_a_larger_network_has_the_same_outputs_and_is_trained_in_all_weights(
    widths: tuple[int, ...], detail: int, depths: tuple[int, ...]
) -> None:
    small, large, images = network(8, 16, 32), network(*widths, detail=detail, depths=depths), torch.rand(2, 3, 33, 47)
    for block in (each for each in large.modules() if hasattr(each, "zero_init_last")):
        nn.init.zeros_(block.bn2.bias)  # as they are initialised
    load_smaller(large.train(), small)
    assert large.training
    for one, other in zip(outputs(small, images), outputs(large.eval(), images), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    large.train()
    optimiser = torch.optim.SGD(large.parameters(), 1e-2)
    for _ in range(3):  # new channels get a gradient once they feed others, and new blocks once their scale is not 0
        optimiser.zero_grad()
        sum((each**2).mean() for each in large(torch.rand(4, 3, 32, 32))).backward()
        optimiser.step()
    assert all(weight.grad is not None and weight.grad.flatten(1).any(1).all() for weight in large.parameters() if weight.ndim > 1)


@pytest.mark.parametrize(
    ("wide", "narrow", "reason"),
    [
        (lambda: network(8, 12), lambda: network(8, 16), "too large"),
        (lambda: network(8, 16), lambda: network(8, 16, depths=(1, 2)), "layers are others"),
        (lambda: network(8, 16, 24), lambda: network(8, 16), "outputs|layers are others"),
        (lambda: network(8, 24, classes=12), lambda: network(8, 16), "outputs"),
        (lambda: network(12, 24, 40, 48, name="convnext_tiny"), lambda: network(8, 16, 24, 32, name="convnext_tiny"), "outputs"),
    ],
)
def test_other_networks_are_refused(wide, narrow, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_smaller(wide(), narrow())


def test_the_same_weights_with_another_normalisation_of_the_images_are_refused() -> None:
    pretrained, other = network(8, 16), network(8, 16)
    pretrained.encoder._renormalise = nn.Hardtanh(-0.5, 0.5)
    with pytest.raises(ValueError, match="outputs"):
        load_smaller(other, pretrained)
