"""Comparisons at several values of a setting: the recipes, and the curve over them."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_comparison_report import fabricated

from pellucid.cli import main
from pellucid.compare import compare_at_values, folder_name
from pellucid.errors import UserError
from pellucid.experiments.comparison import Comparison, at_values, build_comparison
from pellucid.experiments.results import Results
from pellucid.pictures import read
from pellucid.recipe import RECIPES
from pellucid.reporting.comparison_curve import write_curve
from pellucid.run_folder import RUNS, claim_comparison


@pytest.mark.parametrize(("setting", "values"), [("training.seed", ["1", "2"]), ("training.epochs", ["2", "2.0"])])
def test_values_that_change_no_run_are_refused(tmp_path: Path, setting: str, values: list[str]) -> None:
    comparison = build_comparison("reference", RECIPES["base"]).only(["classify", "joint"])
    with pytest.raises(UserError, match=f"values of {setting} that make different runs"):
        compare_at_values(comparison, setting, values, [0], tmp_path)


@pytest.mark.parametrize("arms", [["classify", "restore"], ["joint", "joint-plain"]])
def test_arms_without_a_difference_to_draw_are_refused(tmp_path: Path, arms: list[str]) -> None:
    comparison = build_comparison("reference", RECIPES["base"]).only(arms)
    with pytest.raises(UserError, match="Expected a joint arm and one of classify, restore"):
        compare_at_values(comparison, "training.epochs", ["2", "8"], [0], tmp_path)


def test_paths_as_values_have_folders_in_that_of_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(_comparison: Comparison, _seeds: Sequence[int], out: Path, **_options: object) -> Results:
        (out / RUNS).mkdir(parents=True)
        return fabricated({"classify": (80.0, None), "restore": (None, 28.0), "joint": (79.0, 27.9)})

    monkeypatch.setattr("pellucid.compare.compare", compare)
    comparison = build_comparison("reference", RECIPES["base"]).only(["classify", "joint"])
    compare_at_values(comparison, "data.dataset", ["sets/day", "/sets/night"], [0], tmp_path)
    assert sorted(path.parent.name for path in tmp_path.glob(f"*/{RUNS}")) == ["data.dataset-%2Fsets%2Fnight", "data.dataset-sets%2Fday"]
    claim_comparison(tmp_path, resume=True, prefix="data.dataset-")
    with pytest.raises(UserError, match="there is no comparison in it to resume"):
        claim_comparison(tmp_path, resume=True, prefix="training.epochs-")


def test_the_command_line_has_the_conclusion_at_each_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def compare(comparison: Comparison, *_: object, **__: object) -> Results:
        gain = comparison.base.training.epochs
        return fabricated({"classify": (80.0, None), "restore": (None, 28.0), "joint": (80.0 + gain, 29.0)})

    monkeypatch.setattr("pellucid.compare.compare", compare)
    arms = ["--arms", "classify", "restore", "joint"]
    main(["compare", "reference", "--recipe", "base", *arms, "--vary", "training.epochs", "2", "8", "--out", str(tmp_path / "curve")])
    first, second, path = capsys.readouterr().out.splitlines()
    assert first.startswith("training.epochs 2: with joint, yes")
    assert "+2.00 points" in first
    assert second.startswith("training.epochs 8: with joint, yes")
    assert "+8.00 points" in second
    assert path == f"The curve: {tmp_path / 'curve' / 'curve.png'}"


def test_every_value_has_a_recipe_of_its_own_and_all_arms_have_it() -> None:
    varied = at_values(build_comparison("reference", RECIPES["base"]), "training.epochs", ["2", "8"])
    assert [comparison.base.training.epochs for comparison in varied.values()] == [2, 8]
    assert varied["8"].recipe("classify", 3).training.epochs == 8
    (wide,) = at_values(build_comparison("reference", RECIPES["base"]), "model.encoder.widths", ["[16, 32, 64]"]).values()
    assert wide.base.model.encoder.widths == (16, 32, 64)
    (slow,) = at_values(build_comparison("reference", RECIPES["base"]), "training.learning_rate", ["1e-3"]).values()
    assert slow.base.training.learning_rate == 0.001
    (weighted,) = at_values(build_comparison("reference", RECIPES["base"]), "objective.weight", ["3"]).values()
    assert weighted.base.objective.weight == 3


@pytest.mark.parametrize(
    ("setting", "values", "message"),
    [
        ("training.length", ["2"], "training.length"),
        ("epochs", ["2"], "such as training.epochs"),
        ("damage.steps", ["2"], "such as training.epochs"),
        ("training.epochs", ["many"], "'many'"),
        ("training.epochs", ["-1"], "above 0"),
        ("training.epochs", ["2", "2"], "once"),
    ],
)
def test_what_recipes_do_not_have_is_refused(setting: str, values: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        at_values(build_comparison("reference", RECIPES["base"]), setting, values)


def test_values_without_finished_runs_are_left_out_of_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = build_comparison("reference", RECIPES["base"]).only(["classify", "joint"])
    with pytest.raises(UserError, match="Expected finished runs"):
        compare_at_values(comparison, "training.epochs", ["2", "8"], [0], tmp_path, workers=0)
    monkeypatch.setattr("pellucid.compare.finished", lambda job: job.recipe.training.epochs == 8)
    monkeypatch.setattr("pellucid.compare.compare", lambda varied, *_, **__: fabricated({"classify": (85.0, None), "joint": (86.5, 29.2)}))
    assert compare_at_values(comparison, "training.epochs", ["2", "8"], [0], tmp_path, workers=0).keys() == {"8"}


def test_the_curve_has_the_paired_differences(tmp_path: Path) -> None:
    actual = {
        "2": fabricated({"classify": (80.0, None), "restore": (None, 28.0), "joint": (79.0, 27.9)}),
        "8": fabricated({"classify": (85.0, None), "restore": (None, 29.0), "joint": (86.5, 29.2)}),
        "16": fabricated({"classify": (87.0, None), "restore": (None, 29.5)}),  # not finished yet
    }
    picture = write_curve(tmp_path, "training.epochs", actual)
    paired = json.loads((tmp_path / "curve.json").read_text())["paired"]
    assert paired["joint-classify"]["2"]["mean"] == pytest.approx(-1.0, abs=0.1)
    assert paired["joint-classify"]["8"]["mean"] == pytest.approx(1.5, abs=0.1)
    assert paired["joint-restore"]["8"]["mean"] == pytest.approx(0.2, abs=0.05)
    assert paired["joint-restore"].keys() == {"2", "8"}
    low, high = paired["joint-classify"]["8"]["ci95"]
    assert low < paired["joint-classify"]["8"]["mean"] < high
    lines = (tmp_path / "curve.md").read_text().splitlines()
    assert lines[-3].startswith("| 2 | -1.0")
    assert lines[-1] == "| 16 | – | – |"
    assert lines[0] == "# Does <it> help?"
    assert lines[2] == "Track “reference”, 60 validation images of waves: paired differences by seed, mean and 95 % interval."
    assert json.loads((tmp_path / "curve.json").read_text())["measured"] == {"dataset": "waves", "split": "validation", "num_images": 60}
    assert read(picture).shape[1] > 1000
    actual["8"].runs["joint"][2].metrics["reference"]["broken"] = 1
    write_curve(tmp_path, "training.epochs", actual)
    marked = (tmp_path / "curve.md").read_text()
    assert "| 8* |" in marked
    assert "; *: some outputs are not finite." in marked
    assert json.loads((tmp_path / "curve.json").read_text())["broken"] == {"8": ["joint"]}


@pytest.mark.parametrize(
    ("value", "name"), [("torchjd:PCGrad", "s-torchjd%3APCGrad"), ("D:\\a\\b", "s-D%3A%5Ca%5Cb"), ("a/b", "s-a%2Fb"), ("0.5", "s-0.5")]
)
def test_folders_of_values_have_names_that_windows_takes(value: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.compare.os", SimpleNamespace(name="nt"))
    assert folder_name("s", value) == name
