"""The loop: repeatable, interruptible at any moment, and it learns."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_models import settings_of
from test_own_data import classes
from torch import nn

from pellucid import data
from pellucid.batch import Batch
from pellucid.checkpoint import load_model
from pellucid.errors import DivergenceError, UserError
from pellucid.files import LOCK, locked
from pellucid.models import build_model
from pellucid.recipe import RECIPES, DataConfig, Recipe, changed, settings
from pellucid.run import _build_loader, run
from pellucid.training import TrainingConfig
from pellucid.training.gradients import compare_gradients
from pellucid.training.log import TrainingLog, read_log
from pellucid.training.loop import Trainer
from pellucid.training.optimizer import build_optimizer, learning_rate_factor
from pellucid.training.stop import SIGNALS, StopSignal


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder, "cpu")[0].state_dict()


def assert_identical(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize(("stop_after", "precision"), [(1, "32-true"), (6, "32-true"), (7, "32-true"), (17, "32-true"), (7, "bf16-mixed")])
def test_an_interrupted_run_ends_with_the_same_bits(tiny: Recipe, tmp_path: Path, monkeypatch, stop_after: int, precision: str) -> None:
    recipe = replace(tiny, training=replace(tiny.training, precision=precision))
    run(recipe, tmp_path / "whole", device="cpu")

    train_step = Trainer._train_step

    def train_and_stop(self: Trainer, *arguments) -> None:
        train_step(self, *arguments)
        if self.step == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_train_step", train_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "parts", device="cpu")
    monkeypatch.undo()
    assert not (tmp_path / "parts" / "model").exists()
    run(recipe, tmp_path / "parts", resume=True, device="cpu")
    assert_identical(tmp_path / "whole", tmp_path / "parts")
    whole, parts = (read_log(tmp_path / name / "log.jsonl") for name in ("whole", "parts"))
    assert [{**record, "seconds": 0} for record in whole] == [{**record, "seconds": 0} for record in parts]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from pellucid.cli import main
from pellucid.training.loop import Trainer
step = Trainer._train_step
def dying(self, *arguments):
    step(self, *arguments)
    if self.step == 11:
        os.kill(os.getpid(), signal.SIGKILL)
Trainer._train_step = dying
main(sys.argv[1:])
"""


def test_a_killed_run_resumes_from_its_last_state(tiny: Recipe, tmp_path: Path) -> None:
    recipe = replace(tiny, training=replace(tiny.training, save_minutes=0))
    config = tmp_path / "recipe.yaml"
    config.write_text(json.dumps(settings(recipe)))
    command = ["train", "--config", str(config), "--out", str(tmp_path / "parts"), "--device", "cpu"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *command], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in (tmp_path / "parts").glob(".part-*")] == []
    run(recipe, tmp_path / "parts", resume=True, device="cpu")
    run(recipe, tmp_path / "whole", device="cpu")
    assert_identical(tmp_path / "whole", tmp_path / "parts")


def test_a_resumed_run_replaces_the_events_after_its_state(tmp_path: Path) -> None:
    for start, end in ((0, 5), (3, 6)):
        fabric = Fabric(accelerator="cpu", devices=1, loggers=TensorBoardLogger(tmp_path, name="tensorboard", version=""))
        with TrainingLog(fabric, tmp_path / "log.jsonl").open(6, start, start / 6):
            for step in range(start + 1, end + 1):
                fabric.log_dict({"loss": start + step}, step=step)
        fabric.logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in events] == [(1, 1), (2, 2), (3, 3), (4, 7), (5, 8), (6, 9)]


def test_two_runs_are_the_same_and_another_seed_is_another_run(tiny: Recipe, tmp_path: Path) -> None:
    run(tiny, tmp_path / "one", device="cpu")
    run(tiny, tmp_path / "two", device="cpu")
    assert_identical(tmp_path / "one", tmp_path / "two")
    run(replace(tiny, training=replace(tiny.training, seed=1)), tmp_path / "other", device="cpu")
    assert any(not torch.equal(weights(tmp_path / "one")[name], value) for name, value in weights(tmp_path / "other").items())


def test_it_learns_both_tasks(tiny: Recipe, tmp_path: Path) -> None:
    recipe = replace(tiny, data=replace(tiny.data, limit=1000), training=replace(tiny.training, epochs=12, batch_size=32))
    run(recipe, tmp_path / "run", device="cpu")
    records = read_log(tmp_path / "run" / "log.jsonl")
    first, last = records[:20], records[-20:]
    mean = lambda part, name: sum(record[name] for record in part) / len(part)  # noqa: E731
    assert mean(last, "accuracy") > mean(first, "accuracy") + 15
    assert mean(last, "psnr") > mean(first, "psnr") + 0.5


def test_small_images_come_first(tiny: Recipe, tmp_path: Path, monkeypatch) -> None:
    step, sides = Trainer._train_step, []

    def look(self: Trainer, batch: Batch, progress: float) -> None:
        sides.append(batch.clean.shape[-1])
        step(self, batch, progress)

    monkeypatch.setattr(Trainer, "_train_step", look)
    run(replace(tiny, training=replace(tiny.training, small_images=0.5)), tmp_path / "run", device="cpu")
    assert sides == [24] * 9 + [32] * 9


def test_a_training_may_start_from_a_model(tiny: Recipe, tmp_path: Path) -> None:
    run(tiny, tmp_path / "first", device="cpu")
    frozen = replace(tiny.training, start=str(tmp_path / "first"), epochs=1, learning_rate=1e-9, ema_horizon=0)
    run(replace(tiny, training=frozen), tmp_path / "second", device="cpu")
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    for name in first:
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=1e-5)
    frozen_widths = lambda *widths: changed(replace(tiny, training=frozen), {"model.encoder.widths": widths})  # noqa: E731
    run(frozen_widths(12, 24), tmp_path / "third", device="cpu")
    for name, value in weights(tmp_path / "third").items():
        if value.ndim > 1:
            torch.testing.assert_close(value[tuple(map(slice, first[name].shape))], first[name], atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="same architecture"):
        run(frozen_widths(8, 12), tmp_path / "fourth", device="cpu")


@pytest.mark.parametrize(
    ("earlier", "later", "named"),
    [
        ({}, {"data.validation": 50}, "data.validation 0 instead of 50"),
        ({"data.validation": 40}, {"data.validation": 50}, "data.validation 40"),
        ({"data.limit": 200}, {"data.limit": 200, "data.validation_share": 0.5}, "data.validation_share 0.0"),
        ({"data.validation": 50}, {"data.validation": 50}, None),
        ({"data.validation": 50}, {"data.limit": 200}, None),
    ],
)
def test_a_start_that_was_trained_on_held_out_images_is_refused(
    tiny: Recipe, tmp_path: Path, earlier: dict[str, Any], later: dict[str, Any], named: str | None
) -> None:
    tiny = changed(tiny, {"data.validation": 0, "training.epochs": 0.1})
    run(changed(tiny, earlier), tmp_path / "first", device="cpu")
    second = changed(tiny, later | {"training.start": str(tmp_path / "first")})
    if named is None:
        run(second, tmp_path / "second", device="cpu")
        return
    with pytest.raises(UserError, match=f"not trained on the images held out here, found one with {named}"):
        run(second, tmp_path / "second", device="cpu")
    assert not (tmp_path / "second" / "recipe.json").exists()


def test_a_restorer_that_was_trained_on_held_out_images_is_refused(tiny: Recipe, tmp_path: Path) -> None:
    tiny = changed(tiny, {"data.validation": 0, "training.epochs": 0.1})
    run(changed(tiny, {"model.tasks": "restore"}), tmp_path / "restorer", device="cpu")
    second = changed(tiny, {"model.architecture": "sequential", "model.tasks": "both", "data.validation": 50})
    with pytest.raises(UserError, match=r"restorer that was not trained on the images held out here, found one with data.validation 0"):
        run(second, tmp_path / "second", device="cpu", restorer=tmp_path / "restorer")


@pytest.mark.parametrize(("name", "devices", "passed"), [("mps", 2, 2), ("mps:1", 1, [1])])
def test_a_numbered_device_is_passed_on(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, devices: int, passed: object
) -> None:
    given: dict[str, Any] = {}

    def fabric(**options: Any) -> None:
        given.update(options)
        raise UserError("Expected no more.")

    monkeypatch.setattr("lightning_fabric.Fabric", fabric)
    monkeypatch.setattr("pellucid.run.choose_device", torch.device)
    monkeypatch.setattr("torch.accelerator.device_count", lambda: 2)
    with pytest.raises(UserError, match="Expected no more"):
        run(tiny, tmp_path / "run", device=name, devices=devices)
    assert (given["accelerator"], given["devices"]) == ("mps", passed)
    with pytest.raises(UserError, match="without a number for 2 devices, found 'mps:1'; choose mps"):
        run(tiny, tmp_path / "run", device="mps:1", devices=2)
    with pytest.raises(UserError, match="Expected 3 devices 'mps', found 2; choose fewer devices"):
        run(tiny, tmp_path / "run", device="mps", devices=3)


def test_too_little_memory_is_a_sentence(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(_: Trainer) -> None:
        torch.empty(2**48)

    monkeypatch.setattr(Trainer, "fit", fit)
    with pytest.raises(
        UserError, match=r"memory for batches of 16 images on cpu, found too little; choose a lower training\.batch_size"
    ) as failed:
        run(tiny, tmp_path / "run", device="cpu")
    assert failed.value.__context__ is None  # whose traceback would keep the memory


def test_too_little_memory_to_resume_is_no_damaged_state(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny, tmp_path / "run", device="cpu")
    shutil.rmtree(tmp_path / "run" / "model")

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", full)
    with pytest.raises(torch.OutOfMemoryError):
        run(tiny, tmp_path / "run", resume=True, device="cpu")


def test_every_device_has_an_image_of_each_batch(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = SimpleNamespace(device="cpu", global_rank=0, world_size=17)
    with pytest.raises(UserError, match="an image for each of 17 devices in every batch, found 16 in all"):
        _build_loader(tiny, tiny.data.splits().train, fabric)


def test_images_are_held_out_of_a_folder_whatever_its_path_is(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = classes(tmp_path / "data", num=6)
    tiny = changed(tiny, {"data.limit": 0, "data.size": 16, "training.epochs": 0.1})
    run(changed(tiny, {"data.dataset": "data"}), tmp_path / "first", device="cpu")
    second = changed(tiny, {"data.dataset": str(folder), "data.fold": 1, "training.start": str(tmp_path / "first")})
    with pytest.raises(UserError, match=r"found one with data\.fold 0 instead of 1"):
        run(second, tmp_path / "second", device="cpu")


def test_progress_has_the_images_per_second(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr("pellucid.progress.Heartbeat.beat", lambda self, line: lines.append(line()))
    run(tiny, tmp_path / "run", device="cpu")
    state = torch.load(tmp_path / "run" / "state.ckpt", weights_only=True)
    rate = float(re.search(r"([\d,]+) images/s$", lines[-1])[1].replace(",", ""))
    assert rate == pytest.approx(state["step"] * tiny.training.batch_size / state["seconds"], rel=0.3)


def test_a_time_limit_ends_the_training_with_its_schedule(tiny: Recipe, tmp_path: Path) -> None:
    recipe = replace(tiny, training=replace(tiny.training, epochs=100_000, max_minutes=0.05))
    run(recipe, tmp_path / "run", device="cpu")
    records = read_log(tmp_path / "run" / "log.jsonl")
    state = torch.load(tmp_path / "run" / "state.ckpt", weights_only=True)
    assert 2.5 < state["seconds"] < 6
    assert state["step"] < 600_000 - 1
    assert len(records) > 20  # though 20 steps are fewer than 1 of 500 parts of all epochs
    assert all(record["learning_rate_factor"] <= 1 for record in records)


def test_a_changed_recipe_is_not_mixed_in(tiny: Recipe, tmp_path: Path) -> None:
    run(tiny, tmp_path / "run", device="cpu")
    changed = replace(tiny, training=replace(tiny.training, learning_rate=0.5))
    with pytest.raises(UserError, match=r"training\.learning_rate: 0\.12 -> 0\.5"):
        run(changed, tmp_path / "run", resume=True, device="cpu")


def test_a_used_folder_is_not_overwritten(tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(UserError, match="new or empty"):
            run(tiny, tmp_path, resume=resume, device="cpu")
    assert [path.name for path in tmp_path.iterdir() if path.name != LOCK] == ["precious.txt"]


def test_two_processes_do_not_train_in_one_folder(tiny: Recipe, tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(UserError, match="no other process works in, found"):
        run(tiny, tmp_path / "run", device="cpu")
    run(tiny, tmp_path / "run", device="cpu")
    with locked(tmp_path / "run"), pytest.raises(UserError, match="in use"):
        run(tiny, tmp_path / "run", resume=True, device="cpu")


def test_a_finished_run_is_loaded_and_not_trained_again(tiny: Recipe, tmp_path: Path, monkeypatch) -> None:
    first, _ = run(tiny, tmp_path / "run", device="cpu")
    (tmp_path / "run" / "state.ckpt").unlink()
    monkeypatch.setattr(Trainer, "fit", lambda _: pytest.fail("trained"))
    second, metadata = run(tiny, tmp_path / "run", resume=True, device="cpu")
    assert metadata.recipe == settings(tiny)
    for name, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], value)


def test_what_changes_no_bit_does_not_keep_a_run_from_going_on(tiny: Recipe, tmp_path: Path) -> None:
    run(tiny, tmp_path / "run", device="cpu")
    other = replace(tiny, training=replace(tiny.training, save_minutes=7.0), data=replace(tiny.data, source=Path("elsewhere")))
    run(other, tmp_path / "run", resume=True, device="cpu")


def test_training_leaves_the_callers_random_numbers_alone(tiny: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tiny, tmp_path / "run", device="cpu")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("clip_norm", [10.0, 0.0])
def test_a_training_that_diverges_stops_and_keeps_its_last_good_state(tiny: Recipe, tmp_path: Path, monkeypatch, clip_norm: float) -> None:
    recipe = replace(tiny, training=replace(tiny.training, clip_norm=clip_norm, save_minutes=0))
    step = Trainer._train_step

    def spoil(self: Trainer, batch: Batch, progress: float) -> None:
        if self.step == 4:
            batch.clean.fill_(torch.nan)
        step(self, batch, progress)

    monkeypatch.setattr(Trainer, "_train_step", spoil)
    with pytest.raises(
        DivergenceError, match=r"finite losses and gradients in step 5 of 18.*restoration loss nan.*lower training\.learning_rate"
    ):
        run(recipe, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "model").exists()
    state = torch.load(tmp_path / "run" / "state.ckpt", weights_only=True)
    assert state["step"] == 4
    assert all(value.isfinite().all() for value in state["model"].values())


def test_weights_that_are_not_finite_are_no_model(tiny: Recipe, tmp_path: Path, monkeypatch) -> None:
    update = Trainer._update_average

    def spoil(self: Trainer, advance: float) -> None:
        update(self, advance)
        next(self.average.parameters()).data.fill_(torch.inf)

    monkeypatch.setattr(Trainer, "_update_average", spoil)
    with pytest.raises(DivergenceError, match="finite weights"):
        run(tiny, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(("others", "agreed"), [((0.0, 0.0), False), ((0.0, 1.0), True)])
def test_no_process_saves_or_stops_alone(others: tuple[float, ...], agreed: bool) -> None:
    trainer = Trainer.__new__(Trainer)
    trainer.fabric = SimpleNamespace(
        world_size=3, device=torch.device("cpu"), all_reduce=lambda mine, reduce_op: mine + sum(others) if reduce_op == "sum" else None
    )
    assert trainer._any(False) is agreed
    assert trainer._any(True) is True


def test_a_damaged_state_is_said(tiny: Recipe, tmp_path: Path) -> None:
    run(tiny, tmp_path / "run", device="cpu")
    shutil.rmtree(tmp_path / "run" / "model")  # not finished
    state = tmp_path / "run" / "state.ckpt"
    state.write_bytes(b"PK not a state")
    with pytest.raises(UserError, match=r"state\.ckpt.*remove it"):
        run(tiny, tmp_path / "run", resume=True, device="cpu")
    torch.save([1, 2], state)
    with pytest.raises(UserError, match=r"state\.ckpt"):
        run(tiny, tmp_path / "run", resume=True, device="cpu")
    state.unlink()
    state.mkdir()
    with pytest.raises(UserError, match=r"state\.ckpt"):
        run(tiny, tmp_path / "run", resume=True, device="cpu")
    (tmp_path / "run" / "recipe.json").write_text('{"model": ')
    with pytest.raises(UserError, match=r"recipe\.json"):
        run(tiny, tmp_path / "run", resume=True, device="cpu")


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "adam"])
@pytest.mark.parametrize("arm", ["joint", "classify", "restore", "paper-listing"])
def test_every_arm_trains_with_every_optimizer(tiny: Recipe, tmp_path: Path, optimizer: str, arm: str) -> None:
    recipe = replace(
        tiny,
        data=replace(tiny.data, limit=32),
        model=replace(tiny.model, **settings_of(arm), encoder=replace(tiny.model.encoder, patch=1)),
        training=replace(tiny.training, optimizer=optimizer, epochs=1),
    )
    network, metadata = run(recipe, tmp_path / "run", device="cpu")
    assert not network.training
    assert metadata.classes == data.load("shapes").train.classes
    record = read_log(tmp_path / "run" / "log.jsonl")[-1]
    assert ("accuracy" in record) == (arm != "restore")
    assert ("psnr" in record) == (arm != "classify")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name: str, tmp_path: Path) -> None:
    recipe = changed(RECIPES[name], {"model.encoder.pretrained": False})
    short = replace(recipe.training, epochs=1, batch_size=8, compile=False)
    run(replace(recipe, data=DataConfig(dataset="shapes", limit=8), training=short), tmp_path / "run", device="cpu")
    output = load_model(tmp_path / "run", "cpu")[0](torch.rand(1, 3, 32, 32))
    assert output.logits.isfinite().all()
    assert output.restored.isfinite().all()


def test_comparing_gradients_leaves_the_training_alone(tiny: Recipe, tmp_path: Path, monkeypatch) -> None:
    recipe = replace(tiny, model=replace(tiny.model, damage_head=True))
    run(recipe, tmp_path / "compared", device="cpu")
    monkeypatch.setattr(Trainer, "_compare_gradients", lambda *_: None)
    run(recipe, tmp_path / "not", device="cpu")
    assert_identical(tmp_path / "compared", tmp_path / "not")
    compared, other = (read_log(tmp_path / name / "log.jsonl") for name in ("compared", "not"))
    assert not any("gradient_cosine" in record for record in other)
    layers = ["encoder.network.stem", "encoder.network.layer1", "encoder.network.layer2", "all"]
    for record in compared:
        assert list(record["gradient_cosine"]) == list(record["gradient_ratio"]) == layers
        assert all(-1 <= cosine <= 1 for cosine in record["gradient_cosine"].values())
        assert all(ratio > 0 for ratio in record["gradient_ratio"].values())


def test_gradients_are_compared_about_twenty_times(tiny: Recipe, tmp_path: Path) -> None:
    run(replace(tiny, training=replace(tiny.training, epochs=9, batch_size=8)), tmp_path / "run", device="cpu")  # 108 steps, every sixth
    steps = [record["step"] for record in read_log(tmp_path / "run" / "log.jsonl") if "gradient_cosine" in record]
    assert steps == list(range(1, 109, 6))


@pytest.mark.parametrize("arm", ["classify", "restore", "sequential", "paper-listing"])
def test_where_nothing_is_shared_no_gradients_are_compared(tiny: Recipe, tmp_path: Path, arm: str) -> None:
    recipe = replace(
        tiny,
        data=replace(tiny.data, limit=32),
        model=replace(tiny.model, **settings_of(arm), encoder=replace(tiny.model.encoder, patch=1)),
    )
    restorer = None
    if arm == "sequential":
        run(replace(recipe, model=replace(recipe.model, architecture="joint", tasks="restore")), tmp_path / "restorer", device="cpu")
        restorer = tmp_path / "restorer"
    run(recipe, tmp_path / "run", device="cpu", restorer=restorer)
    assert not any("gradient_cosine" in record for record in read_log(tmp_path / "run" / "log.jsonl"))


def test_the_cosine_and_the_ratio_of_two_gradients_by_hand() -> None:
    one, other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    shared = {"encoder.network.conv1.weight": one, "encoder.network.layer1.0.conv1.weight": other}
    first, second = one @ torch.tensor([3.0, 0.0]) + other.sum(), one @ torch.tensor([3.0, 3.0]) - 2 * other.sum()
    actual = compare_gradients(first, second, shared, torch.Tensor.backward)
    assert actual.cosine == pytest.approx({"encoder.network.stem": 0.5**0.5, "encoder.network.layer1": -1, "all": 7 / (10 * 22) ** 0.5})
    assert actual.ratio == pytest.approx({"encoder.network.stem": 2**0.5, "encoder.network.layer1": 2, "all": 2.2**0.5})
    assert one.grad is None
    assert compare_gradients(0 * first, second, shared, torch.Tensor.backward).cosine == dict.fromkeys(actual.cosine, 0)
    (first + second).backward()


@pytest.mark.parametrize("teacher_sees", ["clean", "degraded"])
def test_the_teacher_remembers_nothing_of_a_batch(tiny: Recipe, tmp_path: Path, monkeypatch, teacher_sees: str) -> None:
    teach, taught = Trainer._teach, []

    def watched(self: Trainer, batch: Batch) -> torch.Tensor | None:
        before = {name: value.clone() for name, value in self.average.state_dict().items()}
        logits = teach(self, batch)
        assert all(torch.equal(before[name], value) for name, value in self.average.state_dict().items())
        assert not logits.requires_grad
        assert self.average.module.training
        taught.append(logits)
        return logits

    monkeypatch.setattr(Trainer, "_teach", watched)
    objective = replace(tiny.objective, distillation=1.0, teacher_sees=teacher_sees)
    network, _ = run(replace(tiny, objective=objective), tmp_path / "run", device="cpu")
    assert len(taught) == 18
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(norm.track_running_stats and norm.momentum and not norm.training for norm in norms)


@pytest.mark.parametrize(
    ("settings", "convolution", "scale", "head"),
    [
        ({}, 0.12, 0.012, 0.012),
        ({"fallback_learning_rate": 0.05}, 0.12, 0.05, 0.05),
        ({"head_learning_rate": 0.003}, 0.12, 0.012, 0.003),
        ({"fallback_learning_rate": 0.05, "head_learning_rate": 0.003}, 0.12, 0.05, 0.003),
        ({"optimizer": "adamw"}, 0.12, 0.12, 0.12),
        ({"optimizer": "adam"}, 0.12, 0.12, 0.12),
    ],
)
def test_every_parameter_has_the_learning_rate_of_its_kind(
    tiny: Recipe, settings: dict, convolution: float, scale: float, head: float
) -> None:
    model = build_model(replace(tiny.model, damage_head=True), num_classes=10, damages=["gaussian", "occlusion"])
    optimizer = build_optimizer(model, TrainingConfig(learning_rate=0.12, **settings))
    rate = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    lasts = [model.class_head.linear, model.restoration_head.residual, model.damage_head.linear, model.damage_head.last]
    last = {id(parameter) for layer in lasts for parameter in layer.parameters()}
    assert len(last) == 8
    for parameter in model.parameters():
        assert rate[id(parameter)] == (head if id(parameter) in last else convolution if parameter.ndim == 4 else scale)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_rise_and_fall(schedule: str) -> None:
    config = TrainingConfig(schedule=schedule, warmup=0.2)
    factors = [learning_rate_factor(step / 100, config) for step in range(101)]
    assert factors[0] == 0
    assert max(factors) == factors[20] == 1
    assert factors[:21] == sorted(factors[:21])
    assert factors[20:] == sorted(factors[20:], reverse=True)
    assert factors[-1] == pytest.approx(1 if schedule == "constant" else 0, abs=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"warmup": 1.0},
        {"crop": -1},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"fallback_learning_rate": 0.0},
        {"head_learning_rate": -0.1},
        {"optimizer": "adam", "fallback_learning_rate": 0.012},
        {"optimizer": "adam", "head_learning_rate": 0.012},
        {"optimizer": "adamw", "fallback_learning_rate": 0.012},
    ],
)
def test_settings_without_a_meaning_are_refused(wrong: dict) -> None:
    with pytest.raises(UserError):
        TrainingConfig(**wrong)


def test_the_log_is_replaced_as_a_whole(tiny: Recipe, tmp_path: Path) -> None:
    run(tiny, tmp_path / "run", device="cpu")
    log = tmp_path / "run" / "log.jsonl"
    before = log.read_text()
    shutil.rmtree(tmp_path / "run" / "model")
    with log.open() as reader:  # still sees the old file, which is not changed in place
        run(tiny, tmp_path / "run", resume=True, device="cpu")
        assert reader.read() == before


def test_a_full_disk_at_the_last_save_does_not_cost_the_model(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_self: Trainer) -> None:
        raise UserError("Expected to write state.ckpt, found that it can't be done (No space left on device).")

    monkeypatch.setattr(Trainer, "save", full)
    run(tiny, tmp_path / "run", device="cpu")
    assert "warning: Expected to write state.ckpt" in capsys.readouterr().out
    load_model(tmp_path / "run", "cpu")


@pytest.mark.parametrize("first", [True, False])
def test_a_failed_save_is_raised_in_every_process_so_that_none_waits(tmp_path: Path, first: bool) -> None:
    part = SimpleNamespace(state_dict=dict)
    parts = {"raw_model": part, "optimizer": part, "average": part, "balancer": part, "step": 3, "seconds": 1.0, "data_digest": ""}
    told = []
    (tmp_path / "state.ckpt").mkdir()  # which a file can't replace

    def told_by_any(mine: bool) -> bool:
        told.append(mine)
        return True

    process = SimpleNamespace(**parts, fabric=SimpleNamespace(is_global_zero=first), state_path=tmp_path / "state.ckpt", _any=told_by_any)
    with pytest.raises(UserError, match="Is a directory" if first else "first process"):
        Trainer.save(process)
    assert told == [first]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stop_signal_is_noted_once_and_has_its_usual_effect_the_second_time(number: signal.Signals) -> None:
    former = signal.signal(number, lambda *_: (_ for _ in ()).throw(InterruptedError))
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), number)
            assert stop.requested
            with pytest.raises(InterruptedError):
                os.kill(os.getpid(), number)
    finally:
        signal.signal(number, former)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_as_under_nohup_stays_ignored(number: signal.Signals) -> None:
    former = signal.signal(number, signal.SIG_IGN)
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), number)
            assert not stop.requested
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, former)


def test_what_a_killed_process_left_behind_is_removed(tiny: Recipe, tmp_path: Path) -> None:
    (tmp_path / "run" / ".part-0a.json").parent.mkdir()
    (tmp_path / "run" / ".part-0a.json").write_text("half")
    (tmp_path / "run" / ".part-0b").mkdir()
    run(tiny, tmp_path / "run", device="cpu")
    assert not list((tmp_path / "run").glob(".part-*"))
