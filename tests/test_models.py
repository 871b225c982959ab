"""The joint network over several encoders and sizes, its arms, and what it refuses."""

from dataclasses import replace

import pytest
import torch

from pellucid.errors import UserError
from pellucid.models import DecoderConfig, EncoderConfig, ModelConfig, build_model
from pellucid.models.encoder import Encoder
from pellucid.models.predicting import Predicting

COMPACT = EncoderConfig(widths=(8, 16, 24), depths=(1, 1, 1))

CONFIGS = {
    "compact": ModelConfig(encoder=replace(COMPACT, patch=2)),
    "stride 1": ModelConfig(encoder=COMPACT),
    "decoder blocks": ModelConfig(encoder=COMPACT, decoder=DecoderConfig(blocks=1)),
    "standard stem": ModelConfig(encoder=EncoderConfig("test_resnet", stem="standard")),
    "convnext": ModelConfig(encoder=EncoderConfig("test_convnext", stem="small")),
    "vision transformer": ModelConfig(encoder=EncoderConfig("test_vit", stem="standard")),
    "mobilenet": ModelConfig(encoder=EncoderConfig("test_efficientnet", stem="standard")),
    "paper": ModelConfig(architecture="paper-listing", encoder=COMPACT),
}


def settings_of(arm: str) -> dict[str, str]:
    """The settings of the network of an arm: of one task, or of one of the architectures."""
    return {"tasks": arm} if arm in ("classify", "restore") else {"architecture": arm}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (32, 32), (33, 50)])
def test_one_forward_answers_both_for_any_size(config: ModelConfig, size: tuple[int, int]) -> None:
    network = build_model(config, num_classes=7).eval()
    images = torch.rand(2, 3, *size)
    output = network(images)
    assert output.logits.shape == (2, 7)
    assert output.restored.shape == images.shape
    assert output.logits.isfinite().all()
    assert output.restored.isfinite().all()


@pytest.mark.parametrize(("tasks", "logits", "restored"), [("both", True, True), ("classify", True, False), ("restore", False, True)])
def test_a_single_task_has_one_output(tasks: str, logits: bool, restored: bool) -> None:
    output = build_model(ModelConfig(tasks=tasks, encoder=COMPACT), 3)(torch.rand(1, 3, 16, 16))
    assert (output.logits is not None, output.restored is not None) == (logits, restored)


def test_arms_share_their_anatomy() -> None:
    parts = {
        tasks: dict(build_model(ModelConfig(tasks=tasks, encoder=COMPACT), 3).named_parameters())
        for tasks in ("both", "classify", "restore")
    }
    assert parts["classify"].keys() | parts["restore"].keys() == parts["both"].keys()
    for tasks in ("classify", "restore"):
        assert all(parts["both"][name].shape == parameter.shape for name, parameter in parts[tasks].items())


def test_both_tasks_reach_the_shared_extractor() -> None:
    network = build_model(ModelConfig(encoder=COMPACT), 3)
    images = torch.rand(4, 3, 16, 16)
    for loss in (lambda output: output.logits.square().sum(), lambda output: (output.restored - images).abs().sum()):
        network.zero_grad()
        loss(network(images)).backward()
        gradients = [parameter.grad for parameter in network.encoder.parameters() if parameter.grad is not None]
        assert sum(gradient.abs().sum() for gradient in gradients) > 0


def test_the_paper_listing_shares_nothing() -> None:
    network = build_model(CONFIGS["paper"], 3)
    network(torch.rand(4, 3, 16, 16)).restored.sum().backward()
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    assert any(parameter.grad is not None for parameter in network.unet.parameters())


def test_training_starts_near_the_identity() -> None:
    images = torch.rand(4, 3, 32, 32)
    restored = build_model(CONFIGS["compact"], 3).eval()(images).restored
    assert (restored - images).abs().mean() < 0.1


def test_a_small_stem_keeps_the_resolution() -> None:
    small, standard = Encoder(EncoderConfig(stem="small")), Encoder(EncoderConfig(stem="standard"))
    assert small.reductions == [1, 2, 4, 8]
    assert standard.reductions == [2, 4, 8, 16, 32]
    assert small.channels == [64, 128, 256, 512]
    for feature, channels, reduction in zip(small(torch.rand(1, 3, 32, 32)), small.channels, small.reductions, strict=True):
        assert feature.shape == (1, channels, 32 // reduction, 32 // reduction)


def test_the_full_resnet18_has_the_paper_s_size() -> None:
    encoder = Encoder(EncoderConfig("resnet18"))
    num_parameters = sum(parameter.numel() for parameter in encoder.parameters())
    assert num_parameters == 11_168_832  # torchvision's 11,176,512 less the 7x7 first convolution (9,408) plus a 3x3 one (1,728)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "resnet19", "stem": "standard"}, "resnet"),
        ({"name": "test_efficientnet", "stem": "small"}, "standard"),
        ({"name": "test_efficientnet", "stem": "standard", "widths": (8, 16)}, "widths"),
        ({"name": "test_convnext", "widths": (8, 16, 24)}, "four stages"),
        ({"widths": (8, 16), "depths": (1,)}, "depths"),
        ({"widths": (8, 0)}, "widths"),
        ({"patch": 0}, "patch"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_sentence(settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build_model(ModelConfig(encoder=EncoderConfig(**settings)), 3)


def test_a_mirrored_network_gives_the_mirror_image_of_its_output() -> None:
    network = build_model(
        ModelConfig(encoder=EncoderConfig(patch=2, widths=(8, 16), depths=(1, 1)), damage_head=True), 4, ["gaussian_noise"]
    ).eval()
    images = torch.rand(2, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    one, other = (Predicting(network, mirror=True)(each) for each in (images, images.flip(3)))
    for name, value, turned in zip(one._fields, one, other, strict=True):
        torch.testing.assert_close(value, turned.flip(3) if name in ("restored", "mask") else turned)
    torch.testing.assert_close(one.logits, (network(images).logits + network(images.flip(3)).logits) / 2)
