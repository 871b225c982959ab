"""The report of a comparison: made-up results in, figures, differences, a sentence and three files out."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from pellucid.experiments.analysis import analyse
from pellucid.experiments.comparison import SINGLE
from pellucid.experiments.results import Cost, Result, Results
from pellucid.experiments.verdict import verdict
from pellucid.metrics import FIGURES
from pellucid.reporting import render
from pellucid.reporting.comparison_courses import cosine_thirds, course
from pellucid.reporting.comparison_examples import Contrast, most_different
from pellucid.reporting.comparison_report import OTHER_DAMAGE_NOTE, OTHER_IMAGES_NOTE, SAME_IMAGES_NOTE, comparison_report
from pellucid.reporting.comparison_report import comparison_json as json_of
from pellucid.reporting.comparison_report import write_comparison_report as write_report
from pellucid.reporting.comparison_tables import cost_table
from pellucid.seeding import seed_of

NUM_IMAGES = 60

NOISE = (-0.3, 0.1, 0.2, -0.1, 0.1)
"""What a seed does to every arm alike, times a large number, and to each arm alone, times a small one; sums to 0."""

Arms = Mapping[str, tuple[float | None, float | None]]
"""By arm: accuracy in % and PSNR in dB."""


def fabricated(
    arms: Arms,
    seeds: int = 5,
    *,
    tracks: Mapping[str, Sequence[str]] | None = None,
    absent: Sequence[tuple[str, int]] = (),
    spread: float = 0.1,
    pairs: tuple[tuple[str, str], ...] = (),
) -> Results:
    """Runs whose figures are known: `arms` plus 10 times what the seed does, and `spread` times a noise of arm and seed.

    tracks: by name, the levels of those with several.
    """
    tracks = tracks or {"reference": ()}
    runs: dict[str, dict[int, Result]] = {arm: {} for arm in arms}
    for position, (arm, (accuracy, psnr)) in enumerate(arms.items()):
        for seed in range(seeds):
            if (arm, seed) not in absent:
                shift = 10 * NOISE[seed] + spread * NOISE[(seed * (position + 2) + position) % 5]
                runs[arm][seed] = _run(
                    arm, seed, accuracy and accuracy + shift, psnr and psnr + shift / 10, tracks, joint=bool(accuracy and psnr)
                )
    return Results(
        question="Does <it> help?",
        base={"model": {"tasks": "both"}, "training": {"epochs": 3}},
        changes={arm: [] if arm == "joint" else [f"model.tasks: both -> {arm}"] for arm in arms},
        planned=(tuple(arms), tuple(range(seeds))),
        pairs=pairs or _single_task_pairs(list(arms)),
        tracks=tuple(tracks),
        runs=runs,
        logs={arm: {seed: run.course for seed, run in by_seed.items()} for arm, by_seed in runs.items()},
        provenance={"command": "pellucid compare reference", "commit": "abc1234567", "device": "cpu", "date": "2026-01-02"},
    )


def _single_task_pairs(arms: Sequence[str]) -> tuple[tuple[str, str], ...]:
    single = [name for name in SINGLE if name in arms]
    named = tuple((arm, baseline) for arm in arms if arm not in SINGLE for baseline in single)
    return named or tuple((arm, arms[0]) for arm in arms[1:])


def _run(arm: str, seed: int, accuracy: float | None, psnr: float | None, tracks: Mapping[str, Sequence[str]], joint: bool) -> Result:
    scores = {
        "accuracy": accuracy,
        "ece": accuracy and 0.03,
        "psnr": psnr,
        "ssim": psnr and psnr / 40,
        "mask_psnr": psnr and psnr - 8,
        "input_psnr": 22.5,
    }
    metrics: dict[str, dict[str, Any]] = {}
    per_image: dict[str, dict[str, np.ndarray]] = {}
    for track, levels in tracks.items():
        metrics[track] = {"track": track, "dataset": "waves", "split": "validation", "num_images": NUM_IMAGES, "broken": 0, **scores}
        if levels:
            metrics[track]["levels"] = dict.fromkeys(levels, scores)
        random = np.random.default_rng(seed_of("images", track))  # images are hard or easy for all arms alike
        size = NUM_IMAGES * max(1, len(levels))
        columns = {}
        if accuracy is not None:
            columns["correct"] = (np.arange(size) % NUM_IMAGES < NUM_IMAGES * accuracy / 100).astype(np.float32)
        if psnr is not None:
            columns["psnr"] = (psnr + random.normal(0, 3, size)).astype(np.float32)
            columns["mask_psnr"] = np.where(np.arange(size) % 2, columns["psnr"] - 8, np.nan).astype(np.float32)
        per_image[track] = columns
    return Result(
        arm=arm,
        seed=seed,
        settings={},
        cost=Cost(parameters=1_000_000, macs=40_000_000 if joint else 30_000_000, training_seconds=100.0 + seed),
        metrics=metrics,
        provenance={"commit": "abc1234567", "device": "cpu", "date": "2026-01-01", "trained_commit": "abc1234566"},
        course=_course(accuracy, psnr, joint),
        per_image=per_image,
    )


def _course(accuracy: float | None, psnr: float | None, joint: bool) -> list[dict[str, Any]]:
    records = []
    for step in range(0, 41):
        done = step / 40
        record: dict[str, Any] = {"step": 10 * step, "progress": done, "seconds": step, "learning_rate_factor": 1 - done}
        if accuracy is not None:
            record |= {"accuracy": accuracy * (1 - math.exp(-4 * done)), "classification_loss": 2.3 * math.exp(-2 * done)}
        if psnr is not None:
            record |= {"psnr": psnr - 9 * math.exp(-4 * done), "restoration_loss": math.exp(-2 * done)}
        if joint and step % 2 == 0:
            record["gradient_cosine"] = {"encoder.stem": 0.3 - 0.6 * done, "encoder.stages.0": 0.1, "all": 0.2 - 0.2 * done}
        records.append(record)
    return records


def comparison_json(results: Results) -> dict[str, Any]:
    return json_of(analyse(results))


def markdown(results: Results) -> str:
    return render.render_markdown(comparison_report(analyse(results)))


BOTH_GAIN: Arms = {"classify": (90.0, None), "restore": (None, 28.0), "joint": (91.0, 28.5), "joint-equal": (92.0, 28.0)}


def test_figures_are_means_over_seeds_with_students_interval() -> None:
    results = fabricated(BOTH_GAIN)
    actual = comparison_json(results)
    accuracy = actual["arms"]["joint"]["reference"]["accuracy"]
    values = [results.runs["joint"][seed].metrics["reference"]["accuracy"] for seed in range(5)]
    assert accuracy["values"] == values
    assert accuracy["mean"] == pytest.approx(np.mean(values))
    assert accuracy["ci95"] == pytest.approx(scipy.stats.t.interval(0.95, 4, np.mean(values), scipy.stats.sem(values)))
    assert actual["arms"]["classify"]["reference"].keys() == {"accuracy", "ece"}
    assert actual["arms"]["restore"]["reference"].keys() == {"psnr", "ssim", "mask_psnr"}
    assert actual["arms"]["joint"]["cost"] == {
        "parameters": 1_000_000,
        "macs": 40_000_000,
        "training_seconds": 102.0,
        "seconds_per_image": None,
    }
    assert actual["seeds"] == [0, 1, 2, 3, 4]
    assert (actual["question"], actual["commit"], actual["date"]) == ("Does <it> help?", "abc1234567", "2026-01-02")


def test_differences_are_the_arms_minus_their_single_task_arms_seed_by_seed() -> None:
    results = fabricated(BOTH_GAIN)
    actual = comparison_json(results)["paired"]
    assert actual.keys() == {"joint-classify", "joint-equal-classify", "joint-restore", "joint-equal-restore"}
    assert actual["joint-classify"]["reference"].keys() == {"accuracy"}
    assert actual["joint-restore"]["reference"].keys() == {"psnr", "mask_psnr", "ssim"}
    accuracy = actual["joint-classify"]["reference"]["accuracy"]
    one, other = ([results.runs[arm][seed].metrics["reference"]["accuracy"] for seed in range(5)] for arm in ("joint", "classify"))
    assert accuracy["values"] == pytest.approx([a - b for a, b in zip(one, other, strict=True)])
    assert accuracy["mean"] == pytest.approx(1.0)
    assert accuracy["ci95"] == pytest.approx(scipy.stats.ttest_rel(one, other).confidence_interval(0.95))
    assert accuracy["ci95"][0] > 0.9  # unpaired, the seeds would drown it
    assert scipy.stats.ttest_ind(one, other).pvalue > 0.2
    psnr = actual["joint-restore"]["reference"]["psnr"]
    assert psnr["bootstrap95"] == pytest.approx([0.5, 0.5], abs=1e-4)  # every image gains as much
    assert actual["joint-restore"]["reference"]["ssim"]["bootstrap95"] is None


def test_arms_are_compared_with_the_baselines_that_they_name() -> None:
    arms = {**BOTH_GAIN, "joint-told": (92.0, 28.5), "joint-told-shuffled": (91.0, 28.5)}
    pairs = (("joint", "classify"), ("joint", "restore"), ("joint-told", "joint"), ("joint-told", "joint-told-shuffled"))
    results = fabricated(arms, pairs=pairs)
    actual = comparison_json(results)
    assert actual["paired"].keys() == {f"{arm}-{baseline}" for arm, baseline in pairs}
    control = actual["paired"]["joint-told-joint-told-shuffled"]["reference"]
    assert control["accuracy"]["mean"] == pytest.approx(1.0)
    assert control["accuracy"]["ci95"][0] > 0
    assert control["accuracy"]["bootstrap95"] is not None
    main, text = actual["verdict"].split("; ")
    assert main.startswith("with joint, yes")
    assert text.startswith("joint-told against joint: classification gains, no difference is shown in restoration (+1.00 points")
    assert ", against joint-told-shuffled: classification gains" in text
    assert "| joint-told − joint-told-shuffled | accuracy % | 5 |" in markdown(results)


def test_the_bootstrap_is_in_the_units_of_its_figure_and_around_it() -> None:
    actual = comparison_json(fabricated({"classify": (80.0, None), "restore": (None, 28.0), "joint": (90.0, 28.0)}, spread=0))
    low, high = actual["paired"]["joint-classify"]["reference"]["accuracy"]["bootstrap95"]
    assert 2 < low < 10 < high < 20  # a tenth of 60 images, and not a fraction of 1


@pytest.mark.parametrize(
    ("accuracy", "psnr", "expected"),
    [
        (91.0, 28.5, r"with joint, yes: both tasks gain \(\+1\.00 points \[\+0\.\d\d, \+1\.\d\d\], \+0\.50 dB \[\+0\.\d\d, \+0\.\d\d\]\)"),
        (89.0, 27.5, r"with joint, no: both tasks lose \(-1\.00 points \[-1\.\d\d, -0\.\d\d\], -0\.50 dB .*\)"),
        (91.0, 28.0, r"with joint, in part: classification gains, no difference is shown in restoration \(.*"),
        (90.0, 28.5, r"with joint, in part: restoration gains, no difference is shown in classification \(.*"),
        (91.0, 27.5, r"with joint, no: classification gains and restoration loses \(.*"),
        (89.0, 28.5, r"with joint, no: restoration gains and classification loses \(.*"),
        (90.0, 28.0, r"with joint, not shown: both intervals include 0 \(.*"),
        (89.0, 28.0, r"with joint, no: classification loses, no difference is shown in restoration \(.*"),
    ],
)
def test_the_verdict_may_say_no(accuracy: float, psnr: float, expected: str) -> None:
    results = fabricated({"classify": (90.0, None), "restore": (None, 28.0), "joint": (accuracy, psnr)})
    assert re.fullmatch(expected, verdict(analyse(results)))


def test_the_verdict_names_every_joint_arm_and_the_main_one_first() -> None:
    arms = {"joint-plain": (89.0, 27.0), **BOTH_GAIN, "sequential": (99.0, 28.0)}
    first, *others = verdict(analyse(fabricated(arms))).split("; ")
    assert first.startswith("with joint, yes: both tasks gain")
    assert [other[: other.index(":")] for other in others] == ["with joint-plain, no", "with joint-equal, in part"]


def test_the_verdict_has_no_sign_before_0() -> None:
    arms = {"classify": (90.0, None), "restore": (None, 28.0), "joint": (90.0, 27.999)}
    assert verdict(analyse(fabricated(arms, spread=0))).endswith("(0.00 points [0.00, 0.00], 0.00 dB [0.00, 0.00])")


def test_one_seed_can_not_tell() -> None:
    results = fabricated(BOTH_GAIN, seeds=1)
    assert verdict(analyse(results)).startswith("with joint, not known: a single seed gives no interval (+1.0")
    actual = comparison_json(results)
    assert actual["arms"]["joint"]["reference"]["accuracy"]["ci95"] is None
    assert "±" not in markdown(results).replace("seeds ±", "")
    assert "An arm with a single seed has no interval." in markdown(results)


def test_the_verdict_waits_for_a_single_task_arm_that_is_not_done() -> None:
    results = fabricated(BOTH_GAIN, absent=[("restore", seed) for seed in range(5)])
    assert re.match(
        r"with joint, not known yet: classification gains \(.*\), the single-task arm of restoration is not", verdict(analyse(results))
    )
    absent = fabricated({arm: figures for arm, figures in BOTH_GAIN.items() if arm != "restore"})
    assert re.match(r"with joint, yes: classification gains \(.*\), and arm restore is missing", verdict(analyse(absent)))


def test_without_single_task_arms_all_are_compared_with_the_first() -> None:
    results = fabricated({"joint": (91.0, 28.5), "plain": (90.0, 28.5), "wide": (92.0, 29.0)})
    actual = comparison_json(results)
    assert actual["paired"].keys() == {"plain-joint", "wide-joint"}
    plain, wide = actual["verdict"].split("; ")
    assert plain.startswith("plain against joint: classification loses, no difference is shown in restoration (-1.00 points")
    assert wide.startswith("wide against joint: both tasks gain (+1.00 points")


def test_a_half_finished_matrix_is_reported_as_far_as_it_goes(tmp_path: Path) -> None:
    absent = [("joint-equal", seed) for seed in range(5)] + [("joint", 1), ("classify", 2)]
    results = fabricated(BOTH_GAIN, absent=absent)
    actual = comparison_json(results)
    assert {(run["arm"], run["seed"]) for run in actual["missing"]} == set(absent)
    assert "joint-equal" not in actual["arms"]
    assert len(actual["paired"]["joint-classify"]["reference"]["accuracy"]["values"]) == 3
    assert len(actual["paired"]["joint-restore"]["reference"]["psnr"]["values"]) == 4
    assert actual["verdict"].startswith("with joint, yes")
    assert "joint-equal" not in actual["verdict"]
    unrelated = [(arm, seed) for arm in ("classify", "restore") for seed in range(2)] + [("joint-equal", seed) for seed in range(2, 5)]
    apart = fabricated(BOTH_GAIN, absent=[*unrelated, *(("joint", seed) for seed in range(2, 5))])
    assert "with joint, not known yet: no seed is finished in both arms" in comparison_json(apart)["verdict"]
    assert "joint-equal is not finished with seeds 0, 1, 2, 3, 4." in markdown(results)
    assert "joint is not finished with seed 1." in write_report(tmp_path, results).read_text()


def test_nothing_finished_is_a_report_too(tmp_path: Path) -> None:
    results = fabricated(BOTH_GAIN, seeds=2, absent=[(arm, seed) for arm in BOTH_GAIN for seed in range(2)])
    assert "No run is finished yet." in write_report(tmp_path, results).read_text()
    assert comparison_json(results)["arms"] == {}


def test_a_run_without_a_figure_is_named() -> None:
    results = fabricated(BOTH_GAIN)
    results.runs["joint"][2].metrics["reference"]["psnr"] = None  # its restored images were not numbers
    assert "joint with seed 2 has no PSNR dB on track “reference”." in markdown(results)


def test_outputs_that_are_not_finite_are_named_and_marked() -> None:
    results = fabricated(BOTH_GAIN)
    results.runs["joint"][2].metrics["reference"]["broken"] = 7
    text = markdown(results)
    assert "joint with seed 2 has 7 outputs on track “reference” that are not finite and count as misclassified." in text
    assert "| joint* | 5 |" in text
    assert "| joint-equal | 5 |" in text
    assert "*: some outputs are not finite" in text
    assert "not finite" not in markdown(fabricated(BOTH_GAIN))
    assert f"ECE: {FIGURES['ece'].meaning}" in text or "ECE" not in text
    assert f"mask PSNR: {FIGURES['mask_psnr'].meaning}" in text


def test_every_table_says_what_was_measured(tmp_path: Path) -> None:
    results = fabricated(BOTH_GAIN, tracks={"reference": (), "noise": ("sigma 0.04", "sigma 0.10")})
    text = markdown(results)
    for track in ("reference", "noise"):
        assert text.count(f"Track “{track}”, 60 validation images of waves") == (2 if track == "reference" else 4)
    page = write_report(tmp_path, results).read_text()
    assert "60 validation images of waves" in page
    assert "test pictures" not in page + text
    assert "test images" not in page + text
    assert comparison_json(results)["measured"]["noise"] == {"dataset": "waves", "split": "validation", "num_images": 60}


def test_tracks_with_levels_show_each_level(tmp_path: Path) -> None:
    results = fabricated(BOTH_GAIN, tracks={"reference": (), "noise": ("sigma 0.04", "sigma 0.10")})
    assert "| arm | sigma 0.04 | sigma 0.10 |" in markdown(results)
    low, high = comparison_json(results)["paired"]["joint-restore"]["noise"]["psnr"]["bootstrap95"]
    assert low == pytest.approx(0.5, abs=1e-4)
    assert high == pytest.approx(0.5, abs=1e-4)
    assert "sigma 0.10" in write_report(tmp_path, results).read_text()


def test_the_markdown_has_what_the_protocol_asks_for() -> None:
    text = markdown(fabricated(BOTH_GAIN))
    rows = {cells[0]: cells[1:] for line in text.splitlines() if line.startswith("| ") for cells in [line.strip("| ").split(" | ")]}
    table = text[text.index("## Figures") : text.index("## Differences")]
    assert re.search(r"^\| joint \| 5 \| 91\.00 ± 2\.\d\d \| 0\.0300 ± 0\.0000 \| 28\.50 ± 0\.\d\d \|", table, flags=re.MULTILINE)
    assert "- classify: model.tasks: both -> classify" in text
    assert "- joint: none" in text
    assert re.search(r"\| joint − classify \| accuracy % \| 5 \| \*\*\+1\.00\*\* \| \*\*\[\+0\.9\d, \+1\.0\d\]\*\* \| \[", text)
    assert re.search(r"\| joint-equal − restore \| PSNR dB \| 5 \| 0\.00 \| \[(-0\.0\d|0\.00), (\+0\.0\d|0\.00)\] \| \[", text)  # not bold
    cost = text[text.index("## Costs") :]
    assert "| joint | 1,000,000 | 40 M | 0.67 | 1.00 |" in cost
    assert rows["joint, encoder.stem"] == ["0.210 ± 0.000", "-0.210 ± 0.000"]  # 0.3 - 0.6 t over 0, .05 ... .3 and over .7 ... 1
    for fact in ("pellucid compare reference", "abc1234567", "abc1234566", "2026-01-02", "0, 1, 2, 3, 4", "20 of 20 finished"):
        assert fact in text


def test_only_what_leaves_0_out_stands_out() -> None:
    text = markdown(fabricated({"classify": (90.0, None), "joint": (90.02, 28.0), "joint-wide": (90.2, 28.0)}))
    assert re.search(r"\| joint − classify \| accuracy % \| 5 \| \+0\.02 \| \[-0\.0\d, \+0\.0\d\] \|", text)
    assert re.search(r"\| joint-wide − classify \| accuracy % \| 5 \| \*\*\+0\.20\*\* \| \*\*\[\+", text)


def test_courses_are_means_over_seeds_at_the_same_part_of_the_training() -> None:
    """One seed took half as many steps: what counts is how much of its training was done."""
    logs = {
        0: [{"step": step, "progress": step / 10, "psnr": float(step)} for step in range(11)],
        1: [{"step": step, "progress": step / 5, "psnr": 2.0 * step} for step in range(6)],
        2: [{"step": 0, "psnr": math.nan}],
    }
    actual = course(logs, "psnr")
    assert actual is not None
    done, values = actual
    assert values == pytest.approx(10 * done)
    assert course(logs, "accuracy") is None


def test_gradients_are_told_early_and_late() -> None:
    logs = {seed: [{"step": s, "progress": s / 9, "gradient_cosine": {"stem": seed + s / 10}} for s in range(10)] for seed in (0, 1)}
    first, last = cosine_thirds(logs, "stem")
    assert first is not None
    assert last is not None
    assert first.values == pytest.approx((0.15, 1.15))
    assert last.values == pytest.approx((0.75, 1.75))
    assert cosine_thirds(logs, "head") == (None, None)


def test_most_different_images_gain_and_lose_most() -> None:
    results = fabricated({"a": (90.0, 28.0), "b": (90.0, 28.0)}, seeds=2, spread=0)
    for seed, run in results.runs["a"].items():
        run.per_image["reference"]["psnr"][[3, 7, 11, 20]] += np.array([5, 9, -4, -6], np.float32)
        run.per_image["reference"]["psnr"][30] += 40 * (-1) ** seed  # undone by the other seed
        run.per_image["reference"]["correct"][[1, 2]] = 0
        run.per_image["reference"]["correct"][55] = 1
        run.per_image["reference"]["psnr"][5] = np.nan
    for run in results.runs["b"].values():
        run.per_image["reference"]["correct"][55] = 0
    assert most_different(results, "a", "b", "reference", "psnr", 4) == [7, 3, 20, 11]
    assert most_different(results, "b", "a", "reference", "psnr", 2) == [20, 7]
    assert most_different(results, "a", "b", "reference", "correct", 2) == [55, 1]
    assert most_different(results, "a", "b", "reference", "correct", 9) == [55, 1, 2]
    assert most_different(results, "a", "b", "reference", "psnr", 0) == []
    assert most_different(results, "a", "none", "reference", "psnr", 4) == []


class Page(HTMLParser):
    """What a page fetches, and how its elements nest."""

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.counts: dict[str, int] = {}
        self._open: list[str] = []
        self.feed(source)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag


def test_the_three_files_agree_and_the_page_needs_nothing_else(tmp_path: Path) -> None:
    results = fabricated(BOTH_GAIN, tracks={"reference": (), "clean": ()})
    pictures = [(name, np.full((32, 32, 3), 40 * position, np.uint8)) for position, name in enumerate(("damaged", "joint <b>", "restore"))]
    path = write_report(tmp_path, results, [Contrast("no. 7: joint gains 3 dB", pictures)])
    assert {file.name for file in tmp_path.iterdir()} == {"comparison.json", "report.md", "report.html"}
    assert json.loads((tmp_path / "comparison.json").read_text()) == comparison_json(results)
    assert (tmp_path / "report.md").read_text() == markdown(results)
    source = path.read_text()
    page = Page(source)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert page.counts["img"] == 3
    assert page.counts["figure"] == 1 + 2 * 2 * 2 + 3 + 2  # the contrast, dots of two tracks, courses, gradients of two arms
    assert 'class="small"' in source
    assert "Does &lt;it&gt; help?" in source
    assert "joint &lt;b&gt;" in source
    assert "With joint, yes: both tasks gain" in source
    assert "#0101" not in source  # every colour is one of the page's


def test_reports_are_repeatable(tmp_path: Path) -> None:
    first, second = (write_report(tmp_path / name, fabricated(BOTH_GAIN)).parent for name in ("first", "second"))
    for name in ("comparison.json", "report.md", "report.html"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_arms_that_sample_images_differently_are_not_said_to_have_seen_the_same() -> None:
    results = fabricated(BOTH_GAIN)
    assert SAME_IMAGES_NOTE in markdown(results)
    few = replace(results, changes={**results.changes, "joint": ["data.labels: 0 -> 5000"]})
    assert OTHER_IMAGES_NOTE in markdown(few)
    assert SAME_IMAGES_NOTE not in markdown(few)
    same = replace(results, changes={arm: [*lines, "data.labels: 0 -> 5000"] for arm, lines in results.changes.items()})
    assert SAME_IMAGES_NOTE in markdown(same)
    assert OTHER_IMAGES_NOTE not in markdown(same)
    damage = replace(results, changes=dict(results.changes) | {"joint": ["damage: reference -> mixed"]})
    assert OTHER_DAMAGE_NOTE in markdown(damage)
    assert SAME_IMAGES_NOTE not in markdown(damage)


def test_training_times_are_compared_only_of_one_commit_and_device() -> None:
    results = fabricated({"classify": (70.0, None), "restore": (None, 28.0), "joint": (71.0, 28.1)}, seeds=2)
    table = cost_table(analyse(results))
    assert "training time, relative to joint" in table.head
    assert "without training times" not in table.caption
    other = results.runs["joint"][1]
    results.runs["joint"][1] = replace(other, provenance=other.provenance | {"trained_commit": "def1234567"})
    table = cost_table(analyse(results))
    assert "training time, relative to joint" not in table.head
    assert table.caption.endswith("; without training times, since the runs are of several commits or devices")
