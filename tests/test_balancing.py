"""The balancers: each follows its paper, checked against numbers computed by hand or by another implementation."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from test_models import settings_of
from torch import Tensor, nn

from pellucid import data
from pellucid.batch import Output
from pellucid.errors import UserError
from pellucid.objectives import ObjectiveConfig
from pellucid.objectives.balancing import BALANCERS, DWA, Balancer, GradNorm, Uncertainty, build_balancer
from pellucid.objectives.config import BALANCES
from pellucid.objectives.joint import Losses
from pellucid.objectives.shared import shared_parameters
from pellucid.recipe import Recipe, changed
from pellucid.run import run
from pellucid.training.log import read_log
from pellucid.training.loop import Trainer
from pellucid.training.optimizer import build_optimizer

AGGREGATORS = ["AlignedMTL", "ConFIG", "GradDrop", "IMTLG", "MGDA", "Mean", "PCGrad", "Random", "Sum"]
ALL = [*BALANCES, "torchjd:MGDA", "torchjd:GradDrop"]


def needs_torchjd(balance: str) -> str:
    if balance.startswith("torchjd:"):
        pytest.importorskip("torchjd")
    return balance


class Toy(nn.Module):
    """One shared layer, and a layer for each task."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shared, self.classify, self.restore = nn.Linear(5, 4), nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Output:
        features = self.shared(inputs).tanh()
        return Output(self.classify(features), self.restore(features))

    def losses(self, weight: float = 0.5, labelled: bool = True) -> Losses:
        torch.manual_seed(1)
        inputs, labels, clean = torch.randn(8, 5), torch.randint(3, (8,)), 5 * torch.randn(8, 2)
        output = self(inputs)
        classification = F.cross_entropy(output.logits, labels) * labelled
        return Losses(classification, F.mse_loss(output.restored, clean), None, None, weight)


def gradients_of(toy: Toy, balancer: Balancer, losses: Losses, step: int = 0) -> dict[str, Tensor]:
    toy.zero_grad(set_to_none=True)
    balancer.backward(losses, list(toy.shared.parameters()), step, Tensor.backward)
    return {name: parameter.grad.clone() for name, parameter in toy.named_parameters() if parameter.grad is not None}


def constant(classification: float, restoration: float) -> Losses:
    one, other = (torch.tensor(value, requires_grad=True) for value in (classification, restoration))
    return Losses(one, other, None, None, 1.0)


def test_the_command_line_knows_every_balancer() -> None:
    assert tuple(BALANCERS) == BALANCES


def test_shared_is_what_both_tasks_reach() -> None:
    assert list(shared_parameters(Toy(), torch.randn(1, 5))) == ["shared.weight", "shared.bias"]


@pytest.mark.parametrize("arm", ["joint", "classify", "restore", "sequential", "paper-listing"])
def test_shared_parameters_of_the_arms(tiny: Recipe, arm: str) -> None:
    from pellucid.run import initialise

    network = initialise(
        replace(tiny, model=replace(tiny.model, **settings_of(arm), encoder=replace(tiny.model.encoder, patch=1))), 4
    ).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    shared = shared_parameters(network, torch.rand(1, 3, 32, 32))
    assert bool(shared) == (arm == "joint")
    assert all(name.startswith("encoder.network.") for name in shared)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_last_stage_that_is_read_is_not_shared(tiny: Recipe) -> None:
    from pellucid.run import initialise

    network = initialise(changed(tiny, {"model.decoder.last_stage": "read"}), 4)
    layers = {name.split(".")[2] for name in shared_parameters(network, torch.rand(1, 3, 32, 32))}
    assert layers == {"conv1", "bn1", "layer1"}


def test_fixed_is_equation_1() -> None:
    toy = Toy()
    losses = toy.losses(weight=0.3)
    actual = gradients_of(toy, build_balancer(ObjectiveConfig(weight=0.3), 1), losses)
    toy.zero_grad()
    again = toy.losses(weight=0.3)
    (again.classification + 0.3 * again.restoration).backward()
    for name, parameter in toy.named_parameters():
        assert torch.equal(actual[name], parameter.grad), name


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "adam"])
def test_uncertainty_finds_the_optimal_log_variances(tiny: Recipe, optimizer: str) -> None:
    """For constant losses, exp(-s) L + s / 2 is least at s = log(2 L)."""
    balancer = Uncertainty(ObjectiveConfig(weight=0.1, balance="uncertainty"), 1)
    assert balancer.weight == pytest.approx(0.1)
    training = replace(tiny.training, optimizer=optimizer, learning_rate=0.1)
    trained = build_optimizer(nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)), training, balancer.parameters())
    for step in range(1500):
        trained.zero_grad()
        balancer.backward(constant(2.0, 0.05), [], step, Tensor.backward)
        trained.step()
    torch.testing.assert_close(balancer.log_variances.detach(), torch.tensor([4.0, 0.1]).log(), atol=1e-2, rtol=0)
    assert balancer.weight.item() == pytest.approx(40, rel=2e-2)


def test_a_batch_without_labels_leaves_the_variance_of_the_classification_alone() -> None:
    toy, balancer = Toy(), Uncertainty(ObjectiveConfig(weight=1.0, balance="uncertainty"), 1)
    gradients_of(toy, balancer, toy.losses(labelled=False))
    assert balancer.log_variances.grad[0] == 0
    assert balancer.log_variances.grad[1] != 0


def test_dwa_weighs_by_the_rate_of_descent() -> None:
    balancer = DWA(ObjectiveConfig(weight=0.5, balance="dwa"), 2)
    epochs = [[(4.0, 2.0), (2.0, 4.0)], [(3.0, 1.0), (0.0, 2.0)]]  # means 3, 3; then 3 over the one batch with labels, 1.5
    step = 0
    for epoch in epochs:
        for classification, restoration in epoch:
            assert balancer.weights().tolist() == [1, 1]
            assert balancer.weight == 0.5
            balancer.backward(constant(classification, restoration), [], step, Tensor.backward)
            step += 1
    one, other = math.exp(1.0 / 2), math.exp(0.5 / 2)
    assert balancer.weights().tolist() == pytest.approx([2 * one / (one + other), 2 * other / (one + other)])
    losses = constant(1.0, 1.0)
    balancer.backward(losses, [], step, Tensor.backward)
    assert losses.classification.grad == pytest.approx(2 * one / (one + other))
    assert losses.restoration.grad == pytest.approx(0.5 * 2 * other / (one + other))


def shared_norm(toy: Toy, loss: Tensor) -> float:
    return float(nn.utils.get_total_norm(torch.autograd.grad(loss, list(toy.shared.parameters()), retain_graph=True)))


def test_gradnorm_reaches_the_asked_ratio() -> None:
    toy, balancer = Toy(), GradNorm(ObjectiveConfig(weight=0.7, balance="gradnorm"), 1)
    losses = toy.losses()
    classification, restoration = shared_norm(toy, losses.classification), shared_norm(toy, losses.restoration)
    assert abs(restoration / classification - 0.7) > 0.5
    actual = gradients_of(toy, balancer, losses)
    assert balancer.weight.item() * restoration / classification == pytest.approx(0.7, rel=1e-5)
    again = toy.losses()
    (expected,) = torch.autograd.grad(again.classification + balancer.weight * again.restoration, [toy.shared.weight])
    torch.testing.assert_close(actual["shared.weight"], expected)


def test_gradnorm_smooths_what_it_measures_every_so_often() -> None:
    toy, balancer = Toy(), GradNorm(ObjectiveConfig(weight=1.0, balance="gradnorm"), 1)
    gradients_of(toy, balancer, toy.losses(), 0)
    first = balancer.norms.clone()
    for parameter in toy.parameters():
        parameter.data.mul_(2)
    gradients_of(toy, balancer, toy.losses(), 1)
    assert torch.equal(balancer.norms, first)
    gradients_of(toy, balancer, toy.losses(labelled=False), GradNorm.EVERY)
    assert torch.equal(balancer.norms, first)
    losses = toy.losses()
    measured = torch.tensor([shared_norm(toy, losses.classification), shared_norm(toy, losses.restoration)])
    gradients_of(toy, balancer, losses, 2 * GradNorm.EVERY)
    torch.testing.assert_close(balancer.norms, 0.8 * first + 0.2 * measured)


@pytest.mark.parametrize("name", ["MGDA", "PCGrad", "IMTLG", "AlignedMTL", "ConFIG", "Sum"])
def test_aggregation_is_torchjd_s_own_where_there_is_one_feature_tensor(name: str) -> None:
    aggregation, autojac = pytest.importorskip("torchjd.aggregation"), pytest.importorskip("torchjd.autojac")
    toy = Toy()
    balancer = build_balancer(ObjectiveConfig(weight=0.5, balance=f"torchjd:{name}"), 1)
    actual = gradients_of(toy, balancer, toy.losses())

    toy.zero_grad(set_to_none=True)
    torch.manual_seed(1)
    inputs, labels, clean = torch.randn(8, 5), torch.randint(3, (8,)), 5 * torch.randn(8, 2)
    features = toy.shared(inputs).tanh()
    losses = [F.cross_entropy(toy.classify(features), labels), 0.5 * F.mse_loss(toy.restore(features), clean)]
    autojac.mtl_backward(losses, features=features, parallel_chunk_size=1)
    autojac.jac_to_grad(toy.shared.parameters(), aggregator=getattr(aggregation, name)())
    for parameter_name, parameter in toy.named_parameters():
        torch.testing.assert_close(actual[parameter_name], parameter.grad, msg=parameter_name)


def test_an_aggregate_of_conflicting_gradients_is_not_their_sum() -> None:
    pytest.importorskip("torchjd")
    toy = Toy()
    fixed = gradients_of(toy, build_balancer(ObjectiveConfig(weight=0.5), 1), toy.losses())
    summed = gradients_of(toy, build_balancer(ObjectiveConfig(weight=0.5, balance="torchjd:Sum"), 1), toy.losses())
    balanced = gradients_of(toy, build_balancer(ObjectiveConfig(weight=0.5, balance="torchjd:MGDA"), 1), toy.losses())
    for name in fixed:
        torch.testing.assert_close(summed[name], fixed[name])
        assert torch.allclose(balanced[name], fixed[name]) == (not name.startswith("shared")), name


@pytest.mark.parametrize("balance", [*BALANCES, *(f"torchjd:{name}" for name in AGGREGATORS)])
def test_no_balancer_minds_a_batch_without_labels_or_a_single_task(balance: str) -> None:
    toy = Toy()
    balancer = build_balancer(ObjectiveConfig(weight=0.5, balance=needs_torchjd(balance)), 1)
    unlabelled = gradients_of(toy, balancer, toy.losses(labelled=False))
    torch.manual_seed(1)
    restoration = replace(toy.losses(), classification=None)
    alone = gradients_of(toy, balancer, restoration)
    expected = torch.autograd.grad(0.5 * toy.losses().restoration, [toy.shared.weight])[0]
    assert torch.equal(alone["shared.weight"], expected)
    torch.testing.assert_close(unlabelled["shared.weight"], expected)


@pytest.mark.parametrize("balance", [*BALANCES, "torchjd:Sum"])
def test_damage_and_distillation_are_added_as_they_are(balance: str) -> None:
    toy = Toy()
    balancer = build_balancer(ObjectiveConfig(weight=0.5, balance=needs_torchjd(balance)), 1)
    without = gradients_of(toy, balancer, toy.losses())
    losses = toy.losses()
    damage, distillation = 3 * toy.shared.weight.square().sum(), 2 * toy.shared.bias.sum()
    actual = gradients_of(toy, balancer, replace(losses, damage=damage, distillation=distillation), 1)
    torch.testing.assert_close(actual["shared.weight"], without["shared.weight"] + 6 * toy.shared.weight.detach())
    torch.testing.assert_close(actual["shared.bias"], without["shared.bias"] + 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"balance": "nope"}, "torchjd:NAME"),
        ({"balance": "torchjd:"}, "torchjd:NAME"),
        ({"balance": "uncertainty", "restoration": "psnr"}, "positive"),
        ({"balance": "dwa", "restoration": "psnr"}, "positive"),
        ({"balance": "uncertainty", "weight": 0.0}, "above 0"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ObjectiveConfig(**settings)


@pytest.mark.parametrize(
    ("name", "message"),
    [("Nope", "name of an aggregator"), ("CAGrad", "settings of its own"), ("GradVac", "keeps nothing"), ("Mean", None)],
)
def test_aggregators_that_cannot_serve_are_refused(name: str, message: str | None) -> None:
    pytest.importorskip("torchjd")
    config = ObjectiveConfig(balance=f"torchjd:{name}")
    if message:
        with pytest.raises(UserError, match=message):
            build_balancer(config, 1)
    else:
        build_balancer(config, 1)


def test_the_requirements_of_an_aggregator_are_reported(monkeypatch) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")

    class Needy(aggregation.Aggregator):
        def __init__(self) -> None:
            raise ImportError("UPGrad requires ['quadprog'] to be installed.")

        def forward(self, matrix: Tensor) -> Tensor:
            raise NotImplementedError

    monkeypatch.setattr(aggregation, "UPGrad", Needy)
    with pytest.raises(UserError, match="quadprog"):
        build_balancer(ObjectiveConfig(balance="torchjd:UPGrad"), 1)


def test_a_missing_torchjd_is_said(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchjd", None)
    with pytest.raises(UserError, match=r"pellucid\[torchjd\]"):
        build_balancer(ObjectiveConfig(balance="torchjd:MGDA"), 1)


@pytest.mark.parametrize("balance", ALL)
def test_several_processes_share_a_fixed_weight_alone(balance: str) -> None:
    config = ObjectiveConfig(balance=needs_torchjd(balance))
    if balance == "fixed":
        build_balancer(config, 1, num_processes=2)
    else:
        with pytest.raises(UserError, match="2 processes"):
            build_balancer(config, 1, num_processes=2)


@pytest.mark.parametrize("balance", ALL)
def test_a_balanced_run_trains_and_resumes_to_the_same_bits(tiny: Recipe, tmp_path: Path, monkeypatch, balance: str) -> None:
    monkeypatch.setattr(GradNorm, "EVERY", 4)
    objective = replace(tiny.objective, balance=needs_torchjd(balance), distillation=0.5)
    training = replace(tiny.training, precision="bf16-mixed" if balance == "gradnorm" else "32-true")
    recipe = replace(tiny, model=replace(tiny.model, damage_head=True), objective=objective, training=training)
    whole, _ = run(recipe, tmp_path / "whole", device="cpu")

    train_step = Trainer._train_step

    def train_and_stop(self: Trainer, *arguments) -> None:
        train_step(self, *arguments)
        if self.step == 15:  # the DWA's weights have moved, and its third epoch is under way
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", train_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, tmp_path / "parts", device="cpu")
    parts, _ = run(recipe, tmp_path / "parts", resume=True, device="cpu")
    ours, theirs = whole.state_dict(), parts.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())

    records = read_log(tmp_path / "whole" / "log.jsonl")
    assert [{**record, "seconds": 0} for record in records] == [
        {**record, "seconds": 0} for record in read_log(tmp_path / "parts" / "log.jsonl")
    ]
    assert all(math.isfinite(record["loss"]) for record in records)
    weighs = balance in ("uncertainty", "dwa", "gradnorm")
    assert (len({record.get("restoration_weight") for record in records}) > 1) == weighs


def test_no_balancer_needs_labels_to_train(tiny: Recipe, tmp_path: Path, monkeypatch) -> None:
    splits = data.load("shapes")
    train = splits.train.subset(slice(48))
    monkeypatch.setattr(data, "load", lambda *_: replace(splits, train=replace(train, labels=train.labels * 0 - 1)))
    for balance in BALANCES:
        recipe = replace(tiny, objective=replace(tiny.objective, balance=balance), training=replace(tiny.training, epochs=2))
        run(recipe, tmp_path / balance, device="cpu")
        assert all(math.isfinite(record["loss"]) for record in read_log(tmp_path / balance / "log.jsonl"))
