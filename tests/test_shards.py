"""Batches in parts: the same bits on any number of threads, and the gradient of the whole."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from pellucid.batch import Batch, Damage, Output
from pellucid.checkpoint import load_model
from pellucid.labels import UNLABELLED
from pellucid.objectives import ObjectiveConfig
from pellucid.objectives.joint import joint_loss
from pellucid.recipe import Recipe
from pellucid.run import run
from pellucid.training.log import read_log
from pellucid.training.loop import Trainer
from pellucid.training.shards import Shards, join_outputs, split


@pytest.fixture
def in_shards(tiny: Recipe) -> Recipe:
    return replace(tiny, model=replace(tiny.model, damage_head=True), training=replace(tiny.training, shards=2, epochs=2))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder, "cpu")[0].state_dict()


def a_batch(num: int) -> Batch:
    clean = torch.rand(num, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    strengths = {"gaussian_noise": torch.arange(num, dtype=torch.float32)}
    return Batch(clean, clean / 2, torch.arange(num), Damage(strengths, clean[:, :1] > 0.5))


def test_threads_change_no_bit(in_shards: Recipe, tmp_path: Path) -> None:
    in_shards = replace(in_shards, data=replace(in_shards.data, limit=48), training=replace(in_shards.training, epochs=1))
    for num_threads in (1, 2):
        torch.set_num_threads(num_threads)
        run(in_shards, tmp_path / str(num_threads), device="cpu")
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_run_in_shards_resumes_to_the_same_bits(in_shards: Recipe, tmp_path: Path, monkeypatch) -> None:
    run(in_shards, tmp_path / "whole", device="cpu")
    step = Trainer._train_step

    def stop_at_5(self: Trainer, *arguments) -> None:
        step(self, *arguments)
        if self.step == 5:
            self.save()
            raise InterruptedError

    monkeypatch.setattr(Trainer, "_train_step", stop_at_5)
    with pytest.raises(InterruptedError):
        run(in_shards, tmp_path / "parts", device="cpu")
    monkeypatch.undo()
    run(in_shards, tmp_path / "parts", resume=True, device="cpu")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_comparing_gradients_leaves_a_training_in_shards_alone(in_shards: Recipe, tmp_path: Path, monkeypatch) -> None:
    run(in_shards, tmp_path / "compared", device="cpu")
    assert any("gradient_cosine" in record for record in read_log(tmp_path / "compared" / "log.jsonl"))
    monkeypatch.setattr(Trainer, "_compares_gradients", lambda *_: False)
    run(in_shards, tmp_path / "not", device="cpu")
    one, other = weights(tmp_path / "compared"), weights(tmp_path / "not")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_without_normalisation_the_parts_have_the_gradient_of_the_whole() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    batch = a_batch(6)
    model(batch.clean).square().mean().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad(set_to_none=True)
    shards = Shards(model, 3)
    outputs = shards.backward(split(batch, None, 3), lambda network, part: network(part[0].clean), lambda output: output.square().mean())
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    torch.testing.assert_close(torch.cat(outputs), model(batch.clean))


def test_labels_count_alike_wherever_they_lie_in_the_batch() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(192, 5)

        def forward(self, images: Tensor) -> Output:
            return Output(logits=self.layer(images.flatten(1)))

    network, batch = Classifier(), a_batch(5)
    batch = replace(batch, labels=torch.tensor([UNLABELLED, UNLABELLED, UNLABELLED, 1, 4]))
    fabric = SimpleNamespace(autocast=nullcontext)
    trainer = SimpleNamespace(fabric=fabric, objective=ObjectiveConfig(), _teach=lambda _: None, _compares_gradients=lambda _: False)
    joint_loss(network(batch.degraded), batch, ObjectiveConfig()).total.backward()
    whole = network.layer.weight.grad
    _, losses, _ = Trainer._backward_in_shards(trainer, Shards(network, 2), batch, 1.0, {})
    torch.testing.assert_close(network.layer.weight.grad, whole)
    torch.testing.assert_close(losses.classification, joint_loss(network(batch.degraded), batch, ObjectiveConfig()).classification.detach())


def test_buffers_are_the_mean_of_the_parts() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3))
    batch = a_batch(4)
    Shards(model, 2).backward(split(batch, None, 2), lambda network, part: network(part[0].clean), lambda output: output.square().mean())
    means = torch.stack([batch.clean[part].mean((0, 2, 3)) for part in (slice(2), slice(2, 4))])
    torch.testing.assert_close(model[0].running_mean, 0.1 * means.mean(0))
    assert model[0].num_batches_tracked == 1


def test_random_layers_go_in_turn() -> None:
    assert Shards(nn.Sequential(nn.Dropout(0.5)), 2).pool._max_workers == 1
    torch.set_num_threads(2)
    assert Shards(nn.Sequential(nn.Dropout(0.0)), 2).pool._max_workers == 2


@pytest.mark.parametrize("num_parts", [1, 2, 3, 5])
def test_parts_are_the_batch_in_its_order(num_parts: int) -> None:
    batch, teacher = a_batch(5), torch.rand(5, 2)
    parts = split(batch, teacher, num_parts)
    assert len(parts) == num_parts
    assert torch.equal(torch.cat([part.clean for part, _ in parts]), batch.clean)
    assert torch.equal(torch.cat([part.labels for part, _ in parts]), batch.labels)
    assert torch.equal(torch.cat([part.damage.mask for part, _ in parts]), batch.damage.mask)
    assert torch.equal(torch.cat([part.damage.strengths["gaussian_noise"] for part, _ in parts]), batch.damage.strengths["gaussian_noise"])
    assert torch.equal(torch.cat([taught for _, taught in parts]), teacher)


def test_outputs_are_joined_field_by_field() -> None:
    joined = join_outputs([Output(logits=torch.zeros(2, 3)), Output(logits=torch.ones(1, 3))])
    assert joined.restored is None
    assert joined.logits.tolist() == [[0] * 3, [0] * 3, [1] * 3]
