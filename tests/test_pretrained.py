"""Encoders with pretrained weights: they compute what timm computes, are trained as set, and load without their file."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from pellucid.checkpoint import load_model
from pellucid.errors import UserError
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.models.encoder import Encoder
from pellucid.recipe import Recipe
from pellucid.run import run
from pellucid.training import TrainingConfig
from pellucid.training.loop import Trainer, batch_statistics
from pellucid.training.optimizer import build_optimizer

NAME = "test_efficientnet"


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(5)
    return timm.create_model(NAME).eval()


@pytest.fixture
def weights(network: torch.nn.Module, tmp_path: Path) -> Path:
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def config(weights: Path, **settings) -> EncoderConfig:
    return EncoderConfig(NAME, weights=str(weights), stem="standard", **settings)


def expected(network: torch.nn.Module, images: Tensor) -> list[Tensor]:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (network.pretrained_cfg["mean"], network.pretrained_cfg["std"]))
    return network.forward_intermediates((images - mean) / std, intermediates_only=True)


def test_an_encoder_computes_what_timm_computes_with_the_same_weights(network: torch.nn.Module, weights: Path) -> None:
    images = torch.rand(2, 3, 64, 64)
    features = Encoder(config(weights)).eval()(images * 2 - 1)
    for ours, theirs in zip(features[-2:], expected(network, images)[-2:], strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("form", ["checkpoint", "prefix", "other names"])
def test_weights_in_other_forms(form: str, network: torch.nn.Module, weights: Path, tmp_path: Path) -> None:
    state = network.state_dict()
    content = {
        "checkpoint": {"state_dict": state, "epoch": 3},
        "prefix": {f"module.{name}": tensor for name, tensor in state.items()},
        "other names": {f"layer {index}": tensor for index, (name, tensor) in enumerate(state.items()) if "num_batches" not in name},
    }[form]
    torch.save(content, tmp_path / "other.pt")
    one, other = Encoder(config(weights)).state_dict(), Encoder(config(tmp_path / "other.pt")).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


class Foreign:
    """Can't be loaded without running code."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": torch.zeros(3)}, r"found 1, of which 0 have its names and shapes; name the encoder"),
        ({"state_dict": Foreign()}, "can't be read"),
        ([1, 2], "a state dict"),
        ({}, "a state dict"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(content: object, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(UserError, match=words):
        Encoder(config(tmp_path / "bad.pt"))


def test_a_file_that_is_not_there_or_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        Encoder(config(tmp_path / "none.safetensors"))
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(UserError, match="can't be read"):
        Encoder(config(tmp_path / "text.safetensors"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pretrained": True, "patch": 2}, "no patch, widths or depths"),
        ({"weights": "x", "widths": (8, 16)}, "no patch, widths or depths"),
        ({"frozen": True}, "pretrained weights in a frozen encoder"),
        ({"frozen": True, "pretrained": True, "learning_rate": 0.1}, r"no learning_rate of a frozen encoder, found 0\.1; set it to 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        EncoderConfig(**settings)


def test_without_the_hub_pretrained_weights_are_one_sentence_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"pretrained weights of resnet18 from http://127.* can't be reached .*model\.encoder\.weights"):
        Encoder(EncoderConfig("resnet18", pretrained=True, stem="standard"))
    with pytest.raises(UserError, match="timm has none for resnet200;"):
        Encoder(EncoderConfig("resnet200", pretrained=True, stem="standard"))


def test_the_encoder_has_its_own_learning_rate(weights: Path) -> None:
    for optimizer in ("muon", "adamw", "adam"):
        model = build_model(ModelConfig(encoder=config(weights, learning_rate=0.1)), 3)
        groups = build_optimizer(model, TrainingConfig(optimizer=optimizer, learning_rate=0.01)).param_groups
        encoder = {id(parameter) for parameter in model.encoder.parameters()}
        rates = {True: set(), False: set()}
        for group in groups:
            for parameter in group["params"]:
                rates[id(parameter) in encoder].add(group["lr"])
        assert max(rates[True]) == pytest.approx(0.1 * max(rates[False]))


def test_a_frozen_encoder_stays_as_it_is_and_loads_without_its_file(tiny: Recipe, weights: Path, tmp_path: Path) -> None:
    model = ModelConfig(encoder=config(weights, frozen=True))
    recipe = replace(tiny, model=model, training=replace(tiny.training, epochs=1, clip_norm=0))
    before = Encoder(model.encoder).state_dict()
    network, _ = run(recipe, tmp_path / "run", device="cpu")
    weights.unlink()
    loaded, metadata = load_model(tmp_path / "run", "cpu")
    assert metadata.model == model
    for name, tensor in before.items():
        assert torch.equal(loaded.encoder.state_dict()[name], tensor)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded(images).logits, network(images).logits)


def test_a_run_is_resumed_without_the_file_of_its_encoder(
    tiny: Recipe, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(tiny, model=ModelConfig(encoder=config(weights)), training=replace(tiny.training, epochs=1))
    monkeypatch.setattr(Trainer, "_train_step", stopped_by_ctrl_c(Trainer._train_step))
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "run", device="cpu")
    monkeypatch.undo()
    weights.unlink()
    run(recipe, tmp_path / "run", resume=True, device="cpu")
    assert (tmp_path / "run" / "model").is_dir()


def stopped_by_ctrl_c(train_step: Callable[..., None]) -> Callable[..., None]:
    def train_and_stop(*arguments: object) -> None:
        train_step(*arguments)
        os.kill(os.getpid(), signal.SIGINT)

    return train_and_stop


def test_the_teacher_of_a_distillation_sees_what_the_frozen_encoder_computes(weights: Path) -> None:
    network, images = Encoder(config(weights, frozen=True)).train(), torch.rand(2, 3, 64, 64)
    with batch_statistics(network) as teacher:
        taught = teacher(images)
    for one, other in zip(taught, network(images), strict=True):
        torch.testing.assert_close(one, other)
