"""Cross-validation of pictures of one's own: every picture measured once, the figures and their intervals, the report, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from test_compare import in_threads
from test_comparison_report import fabricated
from test_own_data import classes, write

from pellucid.cli import main
from pellucid.compare import cross_validate
from pellucid.data import load_own
from pellucid.errors import UserError
from pellucid.experiments.comparison import build_comparison
from pellucid.experiments.folds import Folds, auroc, in_folds, over_folds, wilson
from pellucid.experiments.results import Results
from pellucid.recipe import DataConfig, Recipe
from pellucid.reporting.folds_report import folds_json, folds_report, summary
from pellucid.reporting.render import render_markdown

ARMS = {"classify": (80.0, None), "restore": (None, 28.0), "joint": (84.0, 28.5)}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))


def of_two_classes(num: int = 10) -> Folds:
    """Three folds of `num` pictures; the first half of each is of class 0; all but the first picture are named right, and surely."""
    label = np.repeat([0.0, 1.0], num // 2).astype(np.float32)
    predicted = label.copy()
    predicted[0] = 1
    confidence = np.linspace(0.6, 0.95, num).astype(np.float32)
    confidence[0] = 0.55  # of class 1: less sure of it than of any picture that is of class 1
    columns = {"label": label, "predicted": predicted, "confidence": confidence, "correct": (label == predicted).astype(np.float32)}

    def of_fold(shift: float) -> Results:
        results = fabricated({"joint": (90.0 + shift, 28.0)}, seeds=1, spread=0)
        (run,) = results.runs["joint"].values()
        psnr = np.full(num, 28.0 + shift, np.float32)
        given = np.where(np.arange(num) == 3, 100, 20).astype(np.float32)  # one of them is undamaged
        psnr[3] = 60
        metrics = {"reference": run.metrics["reference"] | {"num_images": num}}
        run = replace(run, classes=["no", "yes"], metrics=metrics, per_image={"reference": columns | {"psnr": psnr, "input_psnr": given}})
        return replace(results, runs={"joint": {0: run}}, base={"data": {"dataset": "scans"}})

    return Folds({fold: of_fold(fold) for fold in range(3)})


def test_wilson_s_interval_is_scipy_s() -> None:
    for right, number in ((0, 5), (8, 10), (206, 253), (50, 50)):
        expected = scipy.stats.binomtest(right, number).proportion_ci(method="wilson")
        assert wilson(right, number) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_interval_over_folds_is_wider_than_student_s() -> None:
    values = [80.0, 84.0, 78.0, 86.0, 82.0]
    estimate = over_folds(values, 5)
    student = scipy.stats.t.interval(0.95, 4, np.mean(values), scipy.stats.sem(values))
    assert estimate.interval is not None
    assert estimate.mean == 82
    assert estimate.interval[1] - 82 == pytest.approx((student[1] - 82) * np.sqrt(5 * (1 / 5 + 1 / 4)))
    assert over_folds([80.0], 5).interval is None
    part = over_folds(values[:3], 5)  # of folds without a figure, the others share as many training images
    student = scipy.stats.t.interval(0.95, 2, np.mean(values[:3]), scipy.stats.sem(values[:3]))
    assert part.interval is not None
    assert part.interval[1] - part.mean == pytest.approx((student[1] - part.mean) * np.sqrt(3 * (1 / 3 + 1 / 4)))


def test_the_area_under_the_curve_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(0, 9, 60) / 8, random.random(60) < 0.4
    pairs = scores[positive][:, None] - scores[~positive][None]
    assert auroc(scores, positive) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert auroc(scores, np.ones(60, bool)) is None


def test_figures_over_pictures_and_over_folds() -> None:
    folds = of_two_classes()
    assert folds.most_frequent("reference") == ("no", 0.5)
    accuracy, interval = folds.over_pictures("joint", "reference", "accuracy") or (0, (0, 0))
    assert accuracy == pytest.approx(90)
    assert interval == pytest.approx(tuple(100 * bound for bound in wilson(27, 30)))
    over = folds.estimate("joint", "reference", "accuracy")
    assert over is not None
    assert over.values == pytest.approx((87, 88, 89))  # what the runs say; made up, like the shift of the seed
    area = folds.auroc("joint", "reference")
    assert area is not None
    assert area.values == (1.0, 1.0, 1.0)
    assert [(name, number, share) for name, number, share, _ in folds.by_class("joint", "reference")] == [("no", 15, 0.8), ("yes", 15, 1.0)]
    psnr = folds.over_pictures("joint", "reference", "psnr")
    assert psnr is not None
    assert psnr[0] == pytest.approx(29)
    assert 28 < psnr[1][0] < 29 < psnr[1][1] < 30


def test_differences_are_paired_by_fold() -> None:
    folds = Folds({fold: fabricated(ARMS, seeds=2) for fold in range(4)})
    assert folds.pairs == (("joint", "classify"), ("joint", "restore"))
    estimate = folds.difference("joint", "classify", "reference", "accuracy")
    assert estimate is not None
    assert len(estimate.values) == 4
    assert estimate.mean == pytest.approx(4, abs=0.1)
    assert estimate.sign == 1
    text = summary(folds)
    assert any(line.startswith("joint against classify: +") and "a gain" in line for line in text)


def test_pictures_are_paired_in_the_folds_that_both_arms_have() -> None:
    folds = Folds({fold: fabricated(ARMS, seeds=1, absent=[(arm, 0)]) for fold, arm in enumerate(("joint", "classify", "none"))})
    both = Folds({2: folds.results[2]})
    for name in ("accuracy", "psnr"):
        baseline = {"accuracy": "classify", "psnr": "restore"}[name]
        expected = both if name == "accuracy" else Folds({fold: folds.results[fold] for fold in (1, 2)})
        over = folds.difference_over_pictures("joint", baseline, "reference", name)
        assert over == expected.difference_over_pictures("joint", baseline, "reference", name)


def test_the_report_of_half_a_cross_validation_is_half_a_report() -> None:
    whole, half = fabricated(ARMS, seeds=1), fabricated(ARMS, seeds=1, absent=[("joint", 0)])
    folds = Folds({0: replace(whole, base={"data": {"dataset": "scans"}}), 1: replace(half, base={"data": {"dataset": "scans"}})})
    assert folds.missing == ["joint in fold 1 with seed 0: not finished"]
    text = render_markdown(folds_report(folds))
    assert "joint in fold 1 with seed 0: not finished" in text
    assert "Cross-validation of scans in 2 folds" in text
    assert folds_json(folds)["arms"]["joint"]["reference"]["accuracy"]["folds"]["ci95"] is None


def test_the_report_says_what_naming_all_alike_would_give() -> None:
    text = render_markdown(folds_report(of_two_classes()))
    for words in (
        "accuracy 90.0 % (95 % over pictures",
        "Predicting “no” for every picture gives an accuracy of 50.0 %",
        "AUROC of “yes”",
        "30 pictures of waves",
        "the 27 damaged",
    ):
        assert words in text
    written = folds_json(of_two_classes())
    assert written["most_frequent"] == {"reference": ("no", 0.5)}
    assert written["measured"] == {"reference": {"dataset": "waves", "split": "validation", "num_images": 30}}
    assert json.loads(json.dumps(written, allow_nan=False))["folds"] == 3


@pytest.fixture
def own(tiny: Recipe, tmp_path: Path) -> Recipe:
    data = DataConfig(str(classes(tmp_path / "data", num=6)), size=16)
    return replace(tiny, data=data, training=replace(tiny.training, epochs=1, batch_size=4))


def test_every_picture_is_measured_once_by_a_network_that_has_not_seen_it(
    own: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pellucid.experiments.matrix.ProcessPoolExecutor", in_threads)
    monkeypatch.setattr("pellucid.experiments.matrix.num_cores", lambda: 1)
    comparison = build_comparison("reference", own).only(["joint"], ["reference"])
    folds = cross_validate(comparison, 3, [0], tmp_path / "out", device="cpu")
    assert len(folds.columns("joint", "reference", "psnr")) == 12
    assert sorted(folds.columns("joint", "reference", "label").tolist()) == [0.0] * 6 + [1.0] * 6
    assert folds.classes == ["a", "b"]
    settings = {fold: run.settings["data"] for fold, results in folds.results.items() for run in results.runs["joint"].values()}
    assert {fold: (data["fold"], data["folds"]) for fold, data in settings.items()} == {0: (0, 3), 1: (1, 3), 2: (2, 3)}
    written = json.loads((tmp_path / "out" / "folds.json").read_text())
    assert len(written["arms"]["joint"]["reference"]["accuracy"]["folds"]["values"]) == 3
    assert (tmp_path / "out" / "report.html").stat().st_size > 5000
    before = (tmp_path / "out" / "fold-0" / "runs" / "joint" / "seed-0" / "result.json").stat().st_mtime_ns
    again = cross_validate(comparison, 3, [0], tmp_path / "out", device="cpu", workers=0)
    assert again.estimate("joint", "reference", "psnr") == folds.estimate("joint", "reference", "psnr")
    assert (tmp_path / "out" / "fold-0" / "runs" / "joint" / "seed-0" / "result.json").stat().st_mtime_ns == before


def test_pictures_of_one_group_are_in_one_part(tmp_path: Path) -> None:
    lines = ["path,label,group"]
    for patient in range(8):
        for number in range(4):
            write(tmp_path / f"{patient}-{number}.png", 10 * patient + number)
            lines.append(f"{patient}-{number}.png,{'ab'[patient % 2]},patient {patient}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    for fold in range(4):
        splits = load_own(tmp_path / "table.csv", size=8, folds=4, fold=fold)
        assert np.bincount(splits.test.labels).tolist() == [4, 4]  # a whole patient of each class


def test_what_can_not_be_cross_validated_is_refused(own: Recipe, tiny: Recipe, tmp_path: Path) -> None:
    def refused(recipe: Recipe, folds: int, words: str) -> None:
        with pytest.raises(UserError, match=words):
            in_folds(build_comparison("reference", recipe), folds)

    refused(own, 1, "at least 2 folds, found 1")
    refused(tiny, 5, "pictures of your own only, found it with shapes")
    refused(replace(own, data=replace(own.data, validation=4)), 3, "measure the test parts, found data.validation 4")
    refused(replace(own, data=replace(own.data, validation_share=0.1)), 3, r"found data\.validation_share 0\.1; set it to 0")
    for split in ("train", "test"):
        classes(tmp_path / "split" / split, num=3)
    refused(replace(own, data=DataConfig(str(tmp_path / "split"), size=16)), 3, "without splits of their own")
    for split in ("train", "val"):
        classes(tmp_path / "validated" / split, num=3)
    refused(replace(own, data=DataConfig(str(tmp_path / "validated"), size=16)), 3, "without splits of their own")


def test_the_command_line_refuses_folds_of_settings_and_nothing_to_report(
    own: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["compare", "reference", "--data", own.data.dataset, "--data.size", "16", "--out", str(tmp_path / "none")]
    for more, words in (
        (["--folds", "3", "--vary", "training.epochs", "1"], "--vary or --folds, found both"),
        (["--folds", "3", "--report-only"], "finished runs to report"),
        (["--folds", "1"], "at least 2 folds"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*call, *more])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "none" / "report.html").exists()


def test_figures_with_outputs_that_are_not_finite_are_marked() -> None:
    folds = of_two_classes()
    folds.results[1].runs["joint"][0].metrics["reference"]["broken"] = 2
    text = render_markdown(folds_report(folds))
    assert "| accuracy % | joint* |" in text
    assert "; *: some outputs are not finite" in text
    assert "*: some" not in render_markdown(folds_report(of_two_classes()))


def test_differences_of_nothing_have_no_sign() -> None:
    folds = Folds({fold: fabricated({"restore": (None, 28.0), "joint": (80.0, 27.9999)}, seeds=1, spread=1e-6) for fold in range(3)})
    [line] = [line for line in summary(folds) if line.startswith("joint against restore")]
    assert line.startswith("joint against restore: 0.00 dB")
    assert "-0.00" not in line
