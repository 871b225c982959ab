"""`pellucid compare`: its arms, its matrix of runs, and what it refuses."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_own_data import classes

from pellucid import device
from pellucid.checkpoint import load_model
from pellucid.cli import main, parse
from pellucid.compare import gather
from pellucid.errors import DivergenceError, UserError
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import evaluate
from pellucid.experiments.analysis import analyse
from pellucid.experiments.comparison import QUESTIONS, Comparison, build_comparison, tuned
from pellucid.experiments.cost import count_macs, macs_of, seconds_per_image, widen
from pellucid.experiments.matrix import _free_device, failure_reason, finished, plan, run_jobs
from pellucid.experiments.matrix_progress import MatrixProgress
from pellucid.experiments.results import PER_IMAGE_FILE, RESULT, Cost, Result
from pellucid.experiments.reuse import reuse
from pellucid.files import locked, write_json
from pellucid.loader import num_batches
from pellucid.models import EncoderConfig, ModelConfig
from pellucid.recipe import RECIPES, DataConfig, Recipe, changed, differences, settings
from pellucid.reporting.comparison_report import comparison_json, comparison_report
from pellucid.reporting.render import render_markdown
from pellucid.run import initialise, run
from pellucid.run_folder import LOG, RECIPE, RUNS, STATE, claim_comparison
from pellucid.training.log import read_log
from pellucid.training.loop import Trainer

CORE = ["classify", "restore", "sequential", "joint"]


def test_macs_are_counted_by_hand() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(5 * 8 * 8, 7))
    assert count_macs(network, side=8) == 8 * 8 * 5 * 3 * 9 + 5 * 8 * 8 * 7


@pytest.mark.parametrize("name", ["base", "resnet18"])
def test_joint_equal_costs_what_the_two_cost_together(name: str) -> None:
    comparison = build_comparison("reference", RECIPES[name])
    macs = {arm: macs_of(comparison.recipe(arm, 0)) for arm in ("classify", "restore", "joint", "joint-equal")}
    both = macs["classify"] + macs["restore"]
    assert macs["joint"] <= 0.65 * both
    assert 0.9 * both < macs["joint-equal"] <= both


def test_a_pretrained_encoder_can_not_be_widened() -> None:
    with pytest.raises(UserError, match=r"arm joint-equal, which is wider, .* --arms classify restore joint"):
        build_comparison("reference", RECIPES["photo"]).recipe("joint-equal", 0)


@pytest.mark.parametrize(("question", "recipe", "track"), [("reference", "photo", "everyday"), ("everyday", "base", "everyday")])
def test_own_pictures_are_measured_with_the_damage_of_the_training(
    question: str, recipe: str, track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    classes(tmp_path / "photos")

    def measured(comparison: Comparison, *_: object, **__: object) -> None:
        raise UserError(f"Expected {', '.join(comparison.tracks)}.")

    monkeypatch.setattr("pellucid.compare.compare", measured)
    monkeypatch.setattr("pellucid.compare.cross_validate", measured)
    arguments = ["compare", question, "--recipe", recipe, "--data", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    for options, expected in (([], track), (["--folds", "2"], track), (["--tracks", "clean"], "clean")):
        with pytest.raises(SystemExit):
            main([*arguments, *options])
        assert f"Expected {expected}." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--tracks", "pairs"])
    assert "pairs of clean and damaged pictures for track 'pairs', found none" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--vary", "damage", "medical", "art"])
    assert "Expected --tracks with --vary damage and pictures of your own, found none" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("options", [(), ("--folds", "2")])
def test_if_all_runs_fail_the_reasons_are_named_and_no_report(
    options: tuple[str, ...], tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DivergenceError("Expected finite losses, found others.")

    monkeypatch.setattr("pellucid.experiments.matrix.run", fail)
    classes(tmp_path / "photos", num=4)
    config = tmp_path / "recipe.json"
    config.write_text(json.dumps(settings(changed(tiny, {"data.limit": 0, "data.size": 16}))))
    command = ["compare", "reference", "--config", str(config), "--data", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main([*command, "--arms", "restore", "--seeds", "1", "--tracks", "reference", "--device", "cpu", *options])
    printed = capsys.readouterr()
    assert "Expected finite losses, found others." in printed.err
    assert "The report" not in printed.out
    assert not list(tmp_path.rglob("report.html"))


def test_runs_are_spread_over_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    chosen: list[str] = []
    for _ in range(4):
        chosen.append(_free_device("auto", chosen))
    assert chosen == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert _free_device("cuda", ["cuda:1", "cuda:0", "cuda:0"]) == "cuda:2"
    assert _free_device("cpu", []) == "cpu"
    assert _free_device("cuda:2", ["cuda:2"]) == "cuda:2"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert _free_device("auto", ["auto"]) == "auto"


def test_a_network_that_can_not_grow_says_so() -> None:
    recipe = RECIPES["quick"]
    with pytest.raises(UserError, match="room to widen"):
        widen(recipe, macs_of(recipe) // 2)


@pytest.mark.parametrize("encoder", [EncoderConfig(stem="standard"), EncoderConfig(stem="standard", patch=2, depths=(1, 1, 1))])
def test_a_standard_stem_is_widened_too(encoder: EncoderConfig) -> None:
    recipe = Recipe(model=ModelConfig(encoder=encoder))
    macs = macs_of(recipe)
    wider = widen(recipe, 2 * macs)
    assert len(wider.model.encoder.widths) == len(encoder.depths or range(4))
    assert 1.7 * macs < macs_of(wider) <= 2 * macs


def test_bottleneck_blocks_are_widened_from_their_own_widths() -> None:
    recipe = Recipe(model=ModelConfig(encoder=EncoderConfig("resnet50", depths=(1, 1, 1))))
    macs = macs_of(recipe)
    assert macs_of(changed(recipe, {"model.encoder.widths": (64, 128, 256)})) == macs
    assert 1.7 * macs < macs_of(widen(recipe, 2 * macs)) <= 2 * macs


def test_arms_differ_in_what_they_say_and_in_nothing_else() -> None:
    comparison = build_comparison("reference", RECIPES["base"])
    assert comparison.changes("joint") == []
    assert "model.tasks: both -> classify" in comparison.changes("classify")
    for arm in comparison.arms:
        recipe = comparison.recipe(arm, 3)
        assert recipe.training == replace(comparison.base.training, seed=3)  # order, crops, damage and steps are shared
        assert (recipe.data, recipe.damage) == (comparison.base.data, comparison.base.damage)


def test_an_arm_sets_all_that_it_stands_for_whatever_the_recipe_has() -> None:
    paper = build_comparison("reference", RECIPES["paper"])
    assert [paper.recipe(arm, 0).model.architecture for arm in ("joint", "joint-plain", "joint-equal")] == ["joint"] * 3
    odd = changed(RECIPES["base"], {"model.decoder.condition_on_class": True, "model.decoder.last_stage": "shared"})
    assert (
        build_comparison("mechanisms", odd).recipe("joint", 0).model
        == build_comparison("mechanisms", RECIPES["base"]).recipe("joint", 0).model
    )


@pytest.mark.parametrize("recipe", ["quick", "base", "everyday", "resnet18"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_no_two_arms_of_a_question_are_the_same(name: str, recipe: str, tmp_path: Path) -> None:
    comparison = build_comparison(name, replace(steps_alone(RECIPES[recipe]), data=DataConfig("shapes", limit=600)))
    assert len(plan(comparison, [0], tmp_path)) == len(comparison.arms)


def test_two_arms_with_one_recipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Expected arms that differ, found 'joint-plain' and 'joint' with the same recipe; leave one out"):
        plan(build_comparison("reference", RECIPES["paper"]).only(["classify", "joint-plain", "joint"]), [0, 1], tmp_path)


def steps_alone(recipe: Recipe) -> Recipe:
    return replace(recipe, training=replace(recipe.training, max_minutes=0.0))


def test_the_clock_decides_in_no_comparison(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Expected a comparison to count steps, found max_minutes 5"):
        build_comparison("reference", RECIPES["quick"])
    _, given = parse(["compare", "reference", "--recipe", "quick"])
    assert given["recipe"] == steps_alone(RECIPES["quick"])
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "reference", "--recipe", "quick", "--training.max_minutes", "2", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "count steps, found max_minutes 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_seed_that_no_run_would_have_is_refused() -> None:
    with pytest.raises(UserError, match="of a comparison, whose runs have the seeds"):
        build_comparison("reference", changed(RECIPES["base"], {"training.seed": 5}))


def test_arms_are_measured_on_the_same_images() -> None:
    limit = ("joint", "data.limit", "100")
    base = changed(RECIPES["base"], {"data.validation": 50})
    assert tuned(build_comparison("reference", RECIPES["base"]), [limit])  # without validation, all are measured on the test images
    for held_out in (base, changed(RECIPES["base"], {"data.validation_share": 0.1})):
        with pytest.raises(UserError, match=r"Expected a setting that arms may differ in, found data\.limit"):
            tuned(build_comparison("reference", held_out), [limit])


def test_an_arm_can_be_tuned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    comparison = build_comparison("reference", RECIPES["base"])
    rate = ("joint", "training.learning_rate", "0.2")
    adjusted = tuned(comparison, [rate, ("joint", "model.encoder.widths", "[8, 16, 24]"), ("classify", "training.learning_rate", "0.1")])
    assert adjusted.recipe("joint", 3).training == replace(comparison.recipe("joint", 3).training, learning_rate=0.2)
    assert adjusted.recipe("joint", 3).model.encoder.widths == (8, 16, 24)
    assert adjusted.recipe("classify", 0) != comparison.recipe("classify", 0)
    assert adjusted.recipe("restore", 0) == comparison.recipe("restore", 0)
    assert f"training.learning_rate: {RECIPES['base'].training.learning_rate:g} -> 0.2" in adjusted.changes("joint")
    assert parse(["compare", "reference", "--tune", *rate, "--tune", "restore", "objective.weight", "2"])[1]["tune"] == [
        list(rate),
        ["restore", "objective.weight", "2"],
    ]
    for tuning, message in (
        (("joined", "training.learning_rate", "0.2"), "Expected arms among classify, restore, .*, found joined"),
        (("joint", "training.rate", "0.2"), "training.rate"),
        (("joint", "training.learning_rate", "fast"), "'fast'"),
        (("joint", "training.learning_rate", "-1"), "at least 0|above 0"),
        (("joint", "training.seed", "1"), "that arms may differ in, found training.seed"),
        (("joint", "training.max_minutes", "1"), "that arms may differ in, found training.max_minutes"),
        (("joint", "data.validation", "9"), "that arms may differ in, found data.validation"),
        (("joint", "data.fold", "1"), "that arms may differ in, found data.fold"),
    ):
        with pytest.raises(SystemExit):
            main(["compare", "reference", "--tune", *tuning, "--out", str(tmp_path / "out")])
        assert re.search(message, capsys.readouterr().err)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", QUESTIONS)
def test_arms_are_compared_with_arms_of_their_question(name: str) -> None:
    comparison = build_comparison(name, RECIPES["base"])
    assert {baseline for arm in comparison.arms.values() for baseline in arm.baselines} <= comparison.arms.keys()
    compared = {arm for arm, _ in comparison.pairs}
    assert compared == comparison.arms.keys() - {"classify", "restore"}


def test_mechanisms_are_compared_with_their_controls_and_balancers_with_a_fixed_weight() -> None:
    mechanisms = build_comparison("mechanisms", RECIPES["base"]).pairs
    for name in ("joint-class-to-decoder", "joint-damage-to-decoder"):
        assert {(name, f"{name}-shuffled"), (name, "joint"), (f"{name}-shuffled", "joint")} <= set(mechanisms)
    assert ("joint-clean-teacher", "joint-degraded-teacher") in mechanisms
    assert ("joint-pcgrad", "joint") in build_comparison("balancers", RECIPES["base"]).pairs
    assert ("joint-l1-dwa", "joint-l1") in build_comparison("balancers", RECIPES["base"]).pairs
    assert ("joint", "joint-labelled-only") in build_comparison("low-label", RECIPES["base"]).pairs
    assert build_comparison("reference", RECIPES["base"]).only(["joint-plain", "joint"]).pairs == (("joint", "joint-plain"),)
    assert build_comparison("reference", RECIPES["base"]).only(["joint-plain", "paper-listing"]).pairs == (
        ("paper-listing", "joint-plain"),
    )


@pytest.mark.parametrize(("limit", "labels"), [(2000, 0), (500, 0), (96, 10), (100, 33)])
def test_arms_with_few_labels_take_as_many_steps(limit: int, labels: int, tiny: Recipe) -> None:
    comparison = build_comparison("low-label", replace(tiny, data=DataConfig(dataset="shapes", limit=limit, labels=labels)))
    steps = {}
    for arm in comparison.arms:
        recipe = comparison.recipe(arm, 0)
        num_images = len(recipe.data.splits().train)
        steps[arm] = round(recipe.training.epochs * num_batches(num_images, recipe.training.batch_size))
    assert set(steps.values()) == {3 * num_batches(limit, 16)}
    assert (comparison.recipe("restore", 0).data.labels, comparison.recipe("joint", 0).data.labels) == (0, labels or limit // 10)


def test_few_images_are_the_same_for_all_arms_which_take_as_many_steps_as_over_all(tiny: Recipe) -> None:
    comparison = build_comparison("few-images", replace(tiny, data=DataConfig(dataset="shapes", limit=320)))
    images = {arm: comparison.recipe(arm, 0).data.splits().train for arm in comparison.arms}
    assert {len(train) for train in images.values()} == {32}
    assert all(np.array_equal(train.labels, images["restore"].labels) for train in images.values())
    steps = {arm: round(comparison.recipe(arm, 0).training.epochs * num_batches(32, 16)) for arm in comparison.arms}
    assert set(steps.values()) == {3 * num_batches(320, 16)}


def test_arms_of_everyday_see_its_damage_and_a_limit_of_the_loss() -> None:
    comparison = build_comparison("everyday", RECIPES["base"])
    recipes = {arm: comparison.recipe(arm, 0) for arm in comparison.arms}
    assert {(recipe.damage, recipe.objective.max_psnr) for recipe in recipes.values()} == {("everyday", 40.0)}
    assert (recipes["restore"].model.damage_head, recipes["restore-damage-head"].model.damage_head) == (False, True)
    assert ("joint-damage-to-decoder", "joint-damage-to-decoder-shuffled") in comparison.pairs


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_arm_of_every_question_can_be_built(name: str, tiny: Recipe) -> None:
    comparison = build_comparison(name, tiny)
    for arm in comparison.arms:
        output = initialise(comparison.recipe(arm, 0), 4).eval()(torch.rand(2, 3, 32, 32))
        assert output.logits is not None or output.restored is not None


def in_threads(workers: int, **_: object) -> ThreadPoolExecutor:
    """In the place of a pool of processes, each of which would take seconds to import torch."""
    return ThreadPoolExecutor(workers)


def test_a_matrix_is_walked_once_and_gone_on_with(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = replace(tiny, training=replace(tiny.training, epochs=1))
    comparison = build_comparison("reference", tiny).only(CORE)
    with monkeypatch.context() as patched:
        patched.setattr("pellucid.experiments.matrix.ProcessPoolExecutor", in_threads)
        patched.setattr("pellucid.experiments.matrix.num_cores", lambda: 1)
        run_jobs(plan(comparison, [0], tmp_path), device="cpu")
    jobs = plan(comparison, [0, 1], tmp_path)
    assert [bool(finished(job)) for job in jobs] == [True] * 4 + [False] * 4
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob(RESULT)}

    run_jobs(jobs, device="cpu", workers=2)
    assert all(finished(job) for job in jobs)
    assert {path: path.stat().st_mtime_ns for path in written} == written  # what was finished was left alone

    results = {job.arm: finished(job) for job in jobs if job.seed == 1}
    joint, classify, restore, sequential = (results[arm] for arm in ("joint", "classify", "restore", "sequential"))
    assert joint.per_image["reference"].keys() == {"correct", "psnr", "mask_psnr"}
    assert joint.per_image["reference"]["correct"].mean() * 100 == pytest.approx(joint.metrics["reference"]["accuracy"])
    assert joint.per_image["reference"]["psnr"].mean() == pytest.approx(joint.metrics["reference"]["psnr"], abs=0.01)
    assert classify.metrics["reference"]["psnr"] is None
    assert restore.metrics["reference"]["accuracy"] is None
    assert sequential.metrics["reference"]["psnr"] == pytest.approx(restore.metrics["reference"]["psnr"], abs=1e-4)
    assert sequential.cost.macs == pytest.approx(classify.cost.macs + restore.cost.macs)
    assert (joint.settings["training"]["seed"], joint.seed) == (1, 1)

    first, second = (load_model(tmp_path / RUNS / arm / "seed-1", "cpu")[0].state_dict() for arm in ("sequential", "restore"))
    for name, weights in second.items():
        if name.endswith("num_batches_tracked"):
            continue  # the average rounds this count, which nothing reads
        assert torch.equal(first[f"restorer.{name}"], weights), name


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go on in a thread: that they can have processes of their own is the business of the test above."""
    monkeypatch.setattr("pellucid.experiments.matrix.ProcessPoolExecutor", in_threads)
    monkeypatch.setattr("pellucid.experiments.matrix.num_cores", lambda: 1)  # tests that run beside this one would fight for the cores


@pytest.mark.usefixtures("in_this_process")
def test_runs_of_another_recipe_are_refused_not_mixed_in(tiny: Recipe, tmp_path: Path) -> None:
    tiny = replace(tiny, training=replace(tiny.training, epochs=1))
    comparison = build_comparison("reference", tiny).only(["classify"])
    run_jobs(plan(comparison, [0], tmp_path), device="cpu")
    other = build_comparison("reference", replace(tiny, training=replace(tiny.training, batch_size=8))).only(["classify"])
    with pytest.raises(UserError, match=r"training\.batch_size: 16 -> 8"):
        plan(other, [0], tmp_path)
    begun = tmp_path / RUNS / "classify" / "seed-0"
    (begun / RESULT).unlink()  # begun, not finished
    with pytest.raises(UserError, match=r"training\.batch_size: 16 -> 8"):
        run_jobs(plan(other, [0], tmp_path), device="cpu")


@pytest.mark.usefixtures("in_this_process")
def test_runs_of_other_comparisons_count_where_the_recipes_are_the_same(
    tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = replace(tiny, training=replace(tiny.training, epochs=1))
    run_jobs(plan(build_comparison("few-images", tiny).only(["classify", "joint"]), [0], tmp_path / "few"), device="cpu")
    few = {path.parent.parent.name: Result.load(path.parent) for path in tmp_path.rglob(RESULT)}
    jobs = plan(build_comparison("low-label", tiny), [0, 1], tmp_path / "low")
    assert reuse(jobs, [tmp_path / "few"]) == 2
    low = {job.arm: result for job in jobs if (result := finished(job))}
    assert low.keys() == {"classify", "joint-labelled-only"}  # of seed 0; the arm `joint` also sees the images without labels
    for arm, source in (("classify", "classify"), ("joint-labelled-only", "joint")):
        assert low[arm].metrics == {"low-label": few[source].metrics["reference"] | {"track": "low-label"}}
        assert low[arm].per_image["low-label"].keys() == few[source].per_image["reference"].keys()
        assert (low[arm].seed, low[arm].settings, low[arm].provenance) == (0, few[source].settings, few[source].provenance)
    assert reuse(jobs, [tmp_path / "few"]) == 0  # what is finished is left alone

    other = replace(tiny, training=replace(tiny.training, batch_size=8))
    assert reuse(plan(build_comparison("low-label", other), [0], tmp_path / "other"), [tmp_path / "few"]) == 0
    assert reuse(plan(build_comparison("everyday", tiny), [0], tmp_path / "everyday"), [tmp_path / "few"]) == 0
    with pytest.raises(SystemExit):
        main(["compare", "few-images", "--reuse", str(tmp_path / "none")])
    assert "Expected the folder of a comparison after --reuse" in capsys.readouterr().err


@pytest.mark.usefixtures("in_this_process")
def test_a_restorer_is_trained_again_since_another_run_needs_its_weights(tiny: Recipe, tmp_path: Path) -> None:
    comparison = build_comparison("reference", changed(tiny, {"training.epochs": 0.1})).only(["restore", "sequential"])
    run_jobs(plan(comparison.only(["restore"]), [0], tmp_path / "one"), device="cpu")
    jobs = plan(comparison, [0], tmp_path / "two")
    assert reuse(jobs, [tmp_path / "one"]) == 0
    run_jobs(jobs, device="cpu")
    assert all(finished(job) for job in jobs)


@pytest.mark.usefixtures("in_this_process")
def test_reused_runs_have_one_precision(tiny: Recipe, tmp_path: Path) -> None:
    tiny = changed(tiny, {"training.epochs": 0.1})
    for arm, precision in (("classify", "32-true"), ("restore", "bf16-mixed")):
        comparison = build_comparison("reference", changed(tiny, {"training.precision": precision})).only([arm])
        run_jobs(plan(comparison, [0], tmp_path / arm), device="cpu")
    comparison = build_comparison("reference", changed(tiny, {"training.precision": "auto"})).only(["classify", "restore"])
    assert reuse(plan(comparison, [0], tmp_path / "both"), [tmp_path / "classify", tmp_path / "restore"]) == 1
    assert [bool(finished(job)) for job in plan(comparison, [0], tmp_path / "both")] == [True, False]


@pytest.mark.usefixtures("in_this_process")
def test_the_precision_of_one_arm_is_not_that_of_all(tiny: Recipe, tmp_path: Path) -> None:
    base = changed(tiny, {"training.epochs": 0.1, "training.precision": "auto"})
    comparison = build_comparison("reference", base).only(["classify", "restore"])
    comparison = tuned(comparison, [("classify", "training.precision", "bf16-mixed")])
    run_jobs(plan(comparison, [0], tmp_path), device="cpu")
    assert [job.recipe.training.precision for job in plan(comparison, [0], tmp_path)] == ["bf16-mixed", "32-true"]


def test_begun_runs_set_the_precision_of_all(tiny: Recipe, tmp_path: Path) -> None:
    comparison = build_comparison("reference", changed(tiny, {"training.precision": "auto"})).only(["classify", "restore"])
    assert {job.recipe.training.precision for job in plan(comparison, [0], tmp_path)} == {"auto"}
    for precision in ("bf16-mixed", "32-true"):  # whatever this processor has
        begun = changed(comparison.recipe("restore", 0), {"training.precision": precision})
        write_json(tmp_path / RUNS / "restore" / "seed-0" / RECIPE, settings(begun))
        assert {job.recipe.training.precision for job in plan(comparison, [0], tmp_path)} == {precision}


@pytest.mark.usefixtures("in_this_process")
def test_a_run_that_fails_is_recorded_the_others_go_on_and_the_next_call_tries_again(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = build_comparison("reference", replace(tiny, training=replace(tiny.training, epochs=1))).only(
        ["restore", "sequential", "classify"]
    )
    jobs = plan(comparison, [0], tmp_path)

    def failing(recipe: Recipe, *arguments: object, **settings: object) -> object:
        if recipe.model.tasks == "restore":
            raise DivergenceError("Expected finite gradients in step 3 of 6, found others.")
        return run(recipe, *arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr("pellucid.experiments.matrix.run", failing)
        run_jobs(jobs, device="cpu")
    actual = {job.arm: (bool(finished(job)), failure_reason(job)) for job in jobs}
    assert actual["classify"] == (True, None)
    assert actual["restore"] == (False, "Expected finite gradients in step 3 of 6, found others.")
    assert "builds on the run in" in actual["sequential"][1]
    results = gather(comparison, [0], jobs, "cpu")
    assert "restore failed with seed 0: Expected finite gradients in step 3 of 6, found others." in render_markdown(
        comparison_report(analyse(results))
    )
    assert {"arm": "restore", "seed": 0, "reason": actual["restore"][1]} in comparison_json(analyse(results))["missing"]

    run_jobs(jobs, device="cpu")
    assert all(finished(job) and failure_reason(job) is None for job in jobs)
    restore, sequential = (finished(job) for job in jobs if job.arm in ("restore", "sequential"))
    own = read_log(next(job.folder for job in jobs if job.arm == "sequential") / LOG)[-1]["seconds"]
    assert sequential.cost.training_seconds == pytest.approx(own + restore.cost.training_seconds)


class BrokenPool(ThreadPoolExecutor):
    """A pool whose process is killed by its first job."""

    def submit(self, *_: object) -> Future[None]:
        future: Future[None] = Future()
        future.set_exception(BrokenProcessPool("terminated abruptly"))
        return future


@pytest.mark.usefixtures("in_this_process")
def test_a_comparison_is_not_mixed_with_another_and_is_resumed(tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = tmp_path / "recipe.yaml", tmp_path / "out"
    config.write_text(json.dumps(settings(replace(tiny, training=replace(tiny.training, epochs=1)))))

    def call(*options: str) -> int:
        try:
            main(["compare", "reference", "--config", str(config), "--arms", "restore", "--out", str(out), "--device", "cpu", *options])
        except SystemExit as stopped:
            return int(stopped.code or 0)
        return 0

    assert call("--seeds", "1", "--resume") == 0  # new
    first = out / RUNS / "restore" / "seed-0" / RESULT
    written = first.stat().st_mtime_ns
    capsys.readouterr()
    assert call("--seeds", "2") == 2
    assert "go on with it by --resume, or choose another" in capsys.readouterr().err
    assert call("--seeds", "2", "--resume") == 0
    assert first.stat().st_mtime_ns == written
    assert (out / RUNS / "restore" / "seed-1" / RESULT).exists()
    assert call("--seeds", "2", "--report-only") == 0


def test_only_the_folder_of_a_comparison_is_resumed(tmp_path: Path) -> None:
    claim_comparison(tmp_path, resume=False)
    claim_comparison(tmp_path / "new", resume=True)
    for runs in (tmp_path / "one" / RUNS, tmp_path / "folds" / "fold-2" / RUNS):
        runs.mkdir(parents=True)
    for name, prefix, other in (("one", "", "fold-"), ("folds", "fold-", "")):
        claim_comparison(tmp_path / name, resume=True, prefix=prefix)
        with pytest.raises(UserError, match="there is no comparison in it to resume"):  # whose report would be replaced
            claim_comparison(tmp_path / name, resume=True, prefix=other)
        with pytest.raises(UserError, match=rf"{name} with files in it; go on with it by --resume"):
            claim_comparison(tmp_path / name, resume=False)
    (tmp_path / "other" / "precious").mkdir(parents=True)
    with pytest.raises(UserError, match="there is no comparison in it to resume"):
        claim_comparison(tmp_path / "other", resume=True)


@pytest.mark.usefixtures("in_this_process")
def test_a_process_that_is_killed_fails_its_run_alone(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = build_comparison("reference", replace(tiny, training=replace(tiny.training, epochs=1))).only(["classify", "restore"])
    jobs = plan(comparison, [0], tmp_path)
    pools = iter([BrokenPool(1)])
    monkeypatch.setattr("pellucid.experiments.matrix.ProcessPoolExecutor", lambda *_, **__: next(pools, None) or in_threads(1))
    run_jobs(jobs, device="cpu")
    assert "its process was killed" in failure_reason(jobs[0])
    assert [bool(finished(job)) for job in jobs] == [False, True]
    pools = iter([BrokenPool(2)])  # two at a time: who is to blame shows when each runs alone
    jobs = plan(comparison, [1], tmp_path)
    run_jobs(jobs, device="cpu", workers=2)
    assert all(finished(job) for job in jobs)


@pytest.mark.usefixtures("in_this_process")
def test_a_comparison_is_measured_in_the_precision_of_its_runs(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [job] = plan(build_comparison("reference", tiny).only(["restore"]), [0], tmp_path)
    monkeypatch.setattr(device, "choose_precision", lambda _: device.Precision("bf16-mixed", "pretended"))
    run_jobs([job], device="cpu")
    result = finished(job)
    network, _ = load_model(job.folder, "cpu")
    exact = evaluate(network, tiny.data.splits().measured, TRACKS["reference"], precision="32-true")
    assert "float32 (as the recipe has it)" in result.provenance["device"]
    assert result.metrics["reference"]["psnr"] == exact.metrics["psnr"]


@pytest.mark.usefixtures("in_this_process")
def test_more_tracks_are_measured_without_training_and_beside_the_others(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = build_comparison("reference", replace(tiny, training=replace(tiny.training, epochs=1))).only(["joint"])
    (job,) = plan(comparison, [0], tmp_path)
    run_jobs([job], device="cpu")
    first = finished(job)
    (job.folder / STATE).unlink()
    monkeypatch.setattr(Trainer, "fit", lambda _: pytest.fail("trained"))
    (job,) = plan(comparison.only(tracks=["clean", "occlusion"]), [0], tmp_path)
    run_jobs([job], device="cpu")
    result = finished(job)
    assert list(result.metrics) == ["reference", "clean", "occlusion"]
    assert result.metrics["reference"] == first.metrics["reference"]
    assert result.per_image.keys() == result.metrics.keys()
    assert result.cost == first.cost


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at the processes of Linux")
def test_workers_end_with_the_process_that_started_them(tiny: Recipe, tmp_path: Path) -> None:
    config, out = tmp_path / "recipe.yaml", tmp_path / "out"
    config.write_text(json.dumps(settings(replace(tiny, training=replace(tiny.training, epochs=1_000_000.0)))))
    arguments = ["compare", "reference", "--config", config, "--arms", "joint", "--seeds", "1", "--out", out, "--device", "cpu"]
    command = [sys.executable, "-c", "from pellucid.cli import main; main()", *map(str, arguments)]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    folder = out / RUNS / "joint" / "seed-0"
    try:
        assert within(180, lambda: len(read_log(folder / LOG)) > 0)
        assert not not_locked(folder)
        workers = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert workers
    finally:
        parent.kill()
        parent.wait()
    assert within(30, lambda: not any(Path("/proc", pid).exists() for pid in workers))
    assert not_locked(folder)
    assert (folder / STATE).exists()


def not_locked(folder: Path) -> bool:
    try:
        with locked(folder):
            return True
    except UserError:
        return False


def within(seconds: float, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.usefixtures("in_this_process")
def test_results_come_back_as_they_were_saved(tiny: Recipe, tmp_path: Path) -> None:
    comparison = build_comparison("reference", replace(tiny, training=replace(tiny.training, epochs=1))).only(["restore"])
    (job,) = plan(comparison, [0], tmp_path)
    run_jobs([job], device="cpu")
    result = finished(job)
    result.save(tmp_path / "again")
    assert Result.load(tmp_path / "again") == result
    assert (tmp_path / "again" / PER_IMAGE_FILE).stat().st_size < 20_000
    assert json.loads((job.folder / RECIPE).read_text()) == result.settings
    assert differences(result.settings, settings(job.recipe)) == []


def test_results_keep_every_class(tmp_path: Path) -> None:
    labels = np.array([-1, 2047, 2049, 4001], np.float32)
    columns = {"reference": {"label": labels, "predicted": labels[::-1]}}
    Result("joint", 0, {}, Cost(1, 1, 1.0), {}, {}, per_image=columns).save(tmp_path)
    assert {name: column.tolist() for name, column in Result.load(tmp_path).per_image["reference"].items()} == {
        "label": labels.tolist(),
        "predicted": labels[::-1].tolist(),
    }


def test_figures_that_are_not_whole_name_their_folder(tmp_path: Path) -> None:
    for content in ('{"arm": ', '{"arm": "joint"}'):
        (tmp_path / RESULT).write_text(content)
        with pytest.raises(UserError, match=rf"finished run in {tmp_path}.*remove {RESULT}"):
            Result.load(tmp_path)
    result = Result("joint", 0, {}, Cost(1, 1, 1.0), {}, {}, per_image={"reference": {"psnr": np.ones(9, np.float32)}})
    result.save(tmp_path)
    assert Result.load(tmp_path) == result
    columns = tmp_path / PER_IMAGE_FILE
    for spoil in (lambda: columns.write_bytes(columns.read_bytes()[:40]), columns.unlink):
        spoil()
        with pytest.raises(UserError, match=rf"finished run in {tmp_path}.*remove {RESULT}"):
            Result.load(tmp_path)


def test_unknown_arms_and_tracks_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for flag, value, known in (("--arms", "both", "classify, restore"), ("--seeds", "0", "at least 1")):
        with pytest.raises(SystemExit) as stopped:
            main(["compare", "reference", "--recipe", "quick", flag, value, "--out", str(tmp_path)])
        assert stopped.value.code == 2
        assert known in capsys.readouterr().err


def test_progress_knows_the_time_left(tmp_path: Path) -> None:
    logs = {seed: tmp_path / f"{seed}.jsonl" for seed in (0, 1)}
    view = MatrixProgress([("joint", seed, log) for seed, log in logs.items()], {("joint", 0), ("joint", 1)})
    assert view.seconds_left(10) is None
    logs[0].write_text(json.dumps({"step": 5, "progress": 0.5}) + "\n")
    assert view.seconds_left(10) == pytest.approx(30)
    view.finish("joint", 0)
    assert view.seconds_left(20) == pytest.approx(20)


def test_times_are_measured_for_every_network() -> None:
    networks = {str(width): initialise(changed(RECIPES["quick"], {"model.encoder.widths": (width,) * 3}), 10).eval() for width in (8, 64)}
    seconds = seconds_per_image(networks, 32, rounds=3)
    assert 0 < seconds["8"] < seconds["64"]
