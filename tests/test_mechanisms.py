"""Mechanisms between the tasks: which features and gradients each receives, and the control with another image's features."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pellucid.batch import Batch, Damage, Output
from pellucid.checkpoint import load_model
from pellucid.errors import UserError
from pellucid.models import DecoderConfig, EncoderConfig, ModelConfig, build_model
from pellucid.models.decoder import shuffle_guidance
from pellucid.objectives import ObjectiveConfig
from pellucid.objectives.joint import damage_loss, joint_loss
from pellucid.recipe import Recipe
from pellucid.run import run

COMPACT = ModelConfig(encoder=EncoderConfig(patch=2, widths=(8, 16, 24), depths=(1, 1, 1)))

DAMAGES = ("gaussian_noise", "occlusion")


def network_of(decoder: DecoderConfig | None = None, **settings: object) -> nn.Module:
    torch.manual_seed(0)
    network = build_model(replace(COMPACT, decoder=decoder or DecoderConfig(), **settings), 5, DAMAGES)
    for parameter in network.parameters():  # what starts as zero, such as a modulation, would hide what depends on it
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def reached(loss: Tensor, network: nn.Module) -> set[str]:
    """The parameters that a loss has a gradient for, other than zero."""
    network.zero_grad()
    loss.backward(retain_graph=True)
    return {name for name, parameter in network.named_parameters() if parameter.grad is not None and parameter.grad.abs().sum() > 0}


def last_stage(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("encoder.network.layer3")}


@pytest.mark.parametrize(("setting", "trains"), [("shared", True), ("read", False)])
def test_the_last_stage_is_shared_or_read(setting: str, trains: bool) -> None:
    network = network_of(DecoderConfig(last_stage=setting))
    images = torch.rand(2, 3, 32, 32)
    output = network(images)
    assert bool(last_stage(reached(output.restored.square().sum(), network))) is trains
    assert last_stage(reached(output.logits.square().sum(), network))
    for name, parameter in network.named_parameters():
        if name.startswith("encoder.network.layer3"):
            parameter.data *= 1.5
    assert not torch.equal(network(images).restored, output.restored)


def test_a_restorer_without_a_class_head_trains_its_last_stage_itself() -> None:
    network = network_of(DecoderConfig(last_stage="read"), tasks="restore")
    assert last_stage(reached(network(torch.rand(2, 3, 32, 32)).restored.square().sum(), network))


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("mechanism", ["condition_on_class", "condition_on_damage"])
def test_what_modulates_the_decoder_gets_no_gradient_from_it_and_the_control_tells_of_another_image(mechanism: str, shuffled: bool) -> None:
    network = network_of(DecoderConfig(last_stage="read", **{mechanism: True}), damage_head=True)
    if shuffled:
        shuffle_guidance(network)
    images = torch.rand(3, 3, 32, 32)
    output = network(images)
    names = reached(output.restored.square().sum(), network)
    assert any("modulations" in name for name in names)
    assert not last_stage(names)
    assert not any(name.startswith(("damage_head.", "class_head.")) for name in names)
    others = torch.cat([torch.rand(1, 3, 32, 32), images[1:]])
    changed = not torch.allclose(network(others).restored[1], output.restored[1], atol=1e-6)
    assert changed is shuffled


def test_the_control_tells_a_single_image_nothing() -> None:
    network, images = network_of(DecoderConfig(condition_on_class=True)), torch.rand(1, 3, 32, 32)
    informed = network(images).restored
    shuffle_guidance(network)
    text: list[Tensor] = []
    network.decoder.register_forward_pre_hook(lambda _, inputs: text.extend(inputs[1]))
    assert not torch.allclose(network(images).restored, informed, atol=1e-6)
    assert not text[0].any()


def test_a_control_is_trained_as_one_and_saved_as_a_plain_model(tiny: Recipe, tmp_path: Path) -> None:
    recipe = replace(
        tiny,
        model=replace(tiny.model, decoder=DecoderConfig(condition_on_class=True)),
        training=replace(tiny.training, epochs=1, shuffle_guidance=True),
    )
    images = torch.rand(4, 3, 32, 32)
    first, _ = run(recipe, tmp_path / "run", device="cpu")
    again, _ = run(recipe, tmp_path / "run", resume=True, device="cpu")
    plain, _ = load_model(tmp_path / "run", "cpu")
    torch.testing.assert_close(first(images).restored, again(images).restored)
    for index in range(4):  # predictions of an exported model depend on no other image of the batch
        torch.testing.assert_close(plain(images).restored[index], plain(images[index : index + 1]).restored[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mechanism", ["condition_on_class", "condition_on_damage"])
def test_modulation_starts_as_the_identity(mechanism: str) -> None:
    images = torch.rand(2, 3, 32, 32)
    torch.manual_seed(0)
    without = build_model(replace(COMPACT, damage_head=True), 5, DAMAGES).eval()
    modulated = build_model(replace(COMPACT, damage_head=True, decoder=DecoderConfig(**{mechanism: True})), 5, DAMAGES).eval()
    modulated.load_state_dict(without.state_dict(), strict=False)
    assert torch.allclose(modulated(images).restored, without(images).restored, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (33, 50)])
def test_the_damage_head_answers_for_any_size(size: tuple[int, int]) -> None:
    output = network_of(damage_head=True)(torch.rand(2, 3, *size))
    assert output.presence.shape == output.strength.shape == (2, 2)
    assert output.mask.shape == (2, 1, *size)
    assert (output.strength > 0).all()


def test_modulation_by_damage_needs_the_damage_head() -> None:
    with pytest.raises(UserError, match="damage_head"):
        ModelConfig(decoder=DecoderConfig(condition_on_damage=True))


def test_the_damage_loss_is_that_of_the_paper_and_pencil() -> None:
    images = torch.zeros(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[0, :, :4] = True
    strengths = {"gaussian_noise": torch.tensor([0.1, torch.nan]), "occlusion": torch.tensor([8.0, 4.0])}
    batch = Batch(images, images, torch.tensor([0, 1]), Damage(strengths, mask))
    output = Output(
        presence=torch.zeros(2, 2),
        strength=torch.tensor([[0.1 * torch.e, 7.0], [8.0, 4.0]]),  # one log unit off, then an absent one, then 0, then ln 1
        mask=torch.zeros(2, 1, 8, 8),
    )
    wrong = abs(torch.log(torch.tensor(7.0 / 8.0))).item()
    assert damage_loss(output, batch).item() == pytest.approx(2 * torch.log(torch.tensor(2.0)).item() + (1 + wrong + 0) / 3, rel=1e-5)
    assert damage_loss(Output(), batch) is None


def test_the_damage_head_learns_beside_the_tasks() -> None:
    network = network_of(damage_head=True)
    images = torch.rand(2, 3, 32, 32)
    batch = Batch(
        images,
        images,
        torch.tensor([0, 1]),
        Damage({name: torch.tensor([0.1, torch.nan]) for name in DAMAGES}, torch.zeros(2, 1, 32, 32, dtype=torch.bool)),
    )
    output = network(images)
    losses = joint_loss(output, batch, ObjectiveConfig(damage_weight=0.5))
    expected = losses.classification + 0.1 * losses.restoration + 0.5 * damage_loss(output, batch)
    assert losses.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert {"damage_head.linear.weight", "damage_head.last.weight"} <= reached(losses.total, network)


def test_the_sequential_arm_trains_its_classifier_alone() -> None:
    network = network_of(architecture="sequential").train()
    assert not network.restorer.training
    assert network.classifier.training
    output = network(torch.rand(4, 3, 32, 32))
    names = reached(output.logits.square().sum(), network)
    assert names
    assert all(name.startswith("classifier.") for name in names)
    assert not output.restored.requires_grad


def test_a_teacher_adds_its_divergence_and_rises_over_the_training() -> None:
    network = network_of()
    images = torch.rand(2, 3, 32, 32)
    batch = Batch(images, images, torch.tensor([0, 1]), Damage({}, torch.zeros(2, 1, 32, 32, dtype=torch.bool)))
    output = network(images)
    config = ObjectiveConfig(distillation=2.0)
    alone = joint_loss(output, batch, config).total
    agreeing = joint_loss(output, batch, config, teacher=output.logits.detach()).total
    assert agreeing.item() == pytest.approx(alone.item(), abs=1e-5)
    teacher = torch.randn(2, 5)
    half, full = (joint_loss(output, batch, config, teacher, progress).total - alone for progress in (0.5, 1.0))
    assert full > 0
    assert (2 * half).item() == pytest.approx(full.item(), rel=1e-4)
