import json
import re
import shlex
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_models import settings_of
from torch import nn

from pellucid.checkpoint import ModelMetadata
from pellucid.cli import parse
from pellucid.data import Dataset
from pellucid.data.synthetic import shapes
from pellucid.evaluation import TRACKS
from pellucid.evaluation.classical import CLASSICAL
from pellucid.evaluation.evaluate import Evaluation, evaluate
from pellucid.labels import UNLABELLED
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.reporting import write_report
from pellucid.reporting.facts import duration
from pellucid.reporting.gallery import MAX_SIDE, collect_examples
from pellucid.reporting.render import html
from pellucid.reporting.scores import _damage as described
from pellucid.run_folder import LOG
from pellucid.seeding import seed_of

VOID = {"meta", "link", "img", "br", "hr", "input"}
SVG_VOID = {"path", "use", "rect"}


class Page(HTMLParser):
    """Parses a page for the tests; feeding it fails where elements are not nested."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.text = ""
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("th", "td"):
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"th", "td"} & set(self.open):
            self.cells[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def row(self, start: str) -> list[str]:
        return next(cells for cells in self.cells if cells[0].startswith(start))


DATASET = replace(shapes(10, num_classes=3).train, name="shapes", split="test")


def network(arm: str = "joint") -> tuple[nn.Module, ModelMetadata]:
    torch.manual_seed(seed_of("report"))
    config = ModelConfig(**settings_of(arm), encoder=EncoderConfig(patch=2, widths=(8, 8), depths=(1, 1)))
    return build_model(config, 3).eval(), ModelMetadata(config, DATASET.classes, recipe={"damage": "reference", "training": {"epochs": 6}})


def write_log(folder: Path, num_records: int = 60, **figures: float) -> None:
    figures = figures or {"classification_loss": 2.0, "accuracy": 30.0, "restoration_loss": 0.1, "psnr": 25.0}
    records = (
        {"step": step, "seconds": 2.0 * step, "learning_rate_factor": 0.5, "loss": 1 / step, **figures}
        for step in range(1, num_records + 1)
    )
    (folder / LOG).write_text("".join(json.dumps(record) + "\n" for record in records))


def report(folder: Path, arm: str = "joint", track: str = "reference", dataset: Dataset = DATASET, **more: Any) -> tuple[Page, Evaluation]:
    model, metadata = network(arm)
    evaluation = evaluate(model, dataset, TRACKS[track])
    path = write_report(folder, model, replace(metadata, classes=dataset.classes), dataset, evaluation, **more)
    assert path == folder / "report.html"
    return Page(path), evaluation


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Evaluation]:
    folder = tmp_path_factory.mktemp("a run & more")
    write_log(folder)
    baselines = {"inpainting": evaluate(CLASSICAL["inpainting"], DATASET, TRACKS["reference"], limit=4, whole_batch=True)}
    return report(folder, baselines=baselines)


def test_the_page_needs_nothing_but_itself(joint: tuple[Page, Evaluation]) -> None:
    page, _ = joint
    addresses = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "xlink:href", "srcset")
    ]
    assert addresses
    assert all(address and address.startswith(("data:", "#")) for address in addresses)
    assert not page.all("script")
    assert "@import" not in page.source
    assert set(page.source.split("url(")[1:]) == {rest for rest in page.source.split("url(")[1:] if rest.startswith("#")}
    assert "default-src 'none'" in str([attributes.get("content") for attributes in page.all("meta")])


def test_every_name_is_used_once_and_every_reference_has_its_target(joint: tuple[Page, Evaluation]) -> None:
    page, _ = joint
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    assert {attributes["xlink:href"] for attributes in page.all("use")} <= {f"#{name}" for name in names}


def test_the_figures_are_those_of_the_evaluation(joint: tuple[Page, Evaluation]) -> None:
    page, evaluation = joint
    metrics = {name: figure or 0.0 for name, figure in evaluation.metrics.items()}
    shown = {"accuracy": ".2f", "ece": ".4f", "psnr": ".2f", "mask_psnr": ".2f", "ssim": ".4f"}
    assert page.row("this network")[1:] == [format(metrics[name], spec) for name, spec in shown.items()]
    assert page.row("damaged image")[3] == f"{metrics['input_psnr']:.2f}"
    assert "first 4 pictures only" in page.row("inpainting")[0]
    verb = "restores" if metrics["psnr"] > metrics["input_psnr"] else "worsens"
    assert (
        f"This network classifies {metrics['accuracy']:.1f} % of damaged test pictures correctly and {verb} them "
        f"from {metrics['input_psnr']:.1f} to {metrics['psnr']:.1f} dB." in page.text
    )


def test_the_restoration_of_undamaged_pictures_is_kept_out_of_the_summary(tmp_path: Path) -> None:
    page, evaluation = report(tmp_path, track="medical")
    assert set(evaluation.kinds) >= {"clean", "damaged"}
    scores = evaluation.kinds["damaged"]
    assert f"the {scores['num_images']} of them that are damaged from {scores['input_psnr']:.1f} to {scores['psnr']:.1f} dB." in page.text


def test_the_sample_agrees_with_the_evaluation(joint: tuple[Page, Evaluation]) -> None:
    page, evaluation = joint
    columns = evaluation.per_image["reference"]
    assert len(page.all("figure")) == len(DATASET) + 6  # and the six curves
    assert page.text.count("✓ right") == columns["correct"].sum()
    assert page.text.count("✗ wrong") == (1 - columns["correct"]).sum()
    for position in range(len(DATASET)):
        assert f"no. {position} · {columns['input_psnr'][position]:.1f} dB → {columns['psnr'][position]:.1f} dB" in page.text
    assert all(attributes["alt"] for attributes in page.all("img"))
    assert len(page.all("img")) == 3 * len(DATASET)


def test_the_sample_follows_a_fixed_rule() -> None:
    model, metadata = network()
    pictures = collect_examples(model, metadata.classes, DATASET, TRACKS["noise"], range(7))
    assert [picture.level for picture in pictures[:2]] == ["sigma=0.04", "sigma=0.06"]
    assert pictures[0].level == pictures[5].level
    np.testing.assert_array_equal(pictures[3].clean, DATASET.images[3])


def test_curves_say_what_was_recorded_and_how_it_was_smoothed(joint: tuple[Page, Evaluation]) -> None:
    page, _ = joint
    labels = [attributes["aria-label"] for attributes in page.all("svg")]
    assert "Joint loss: from 1 at step 1 to 0.01667 at step 60" in labels
    assert "the mean over 2 records" in page.text
    assert "2 min 0 s, 60 steps" in page.text
    assert "var(--naming)" in page.source
    assert "#0101" not in page.source


def test_what_was_run_and_what_comes_next(joint: tuple[Page, Evaluation]) -> None:
    page, _ = joint
    num_parameters = sum(parameter.numel() for parameter in network()[0].parameters())
    for printed in (
        f"{num_parameters:,} parameters",
        "training.epochs 6",
        "3: disc, square, triangle",
        "--recipe base",
        "--track reference",
    ):
        assert printed in page.text
    steps = [unescape(step) for step in re.findall(r">(pellucid [^<]+)<", page.source)]
    assert len(steps) == 3
    for step in steps:
        parse(shlex.split(step)[1:])
    assert "a run & more" in page.text  # escaped in the source, and quoted for the shell


def test_the_advice_to_train_longer_fits_the_run(tmp_path: Path) -> None:
    model, metadata = network("restore")
    for damage, advice in (("none", "--recipe base --damage none --model.tasks restore"), ("art", "--recipe base --model.tasks restore")):
        path = write_report(
            tmp_path, model, replace(metadata, recipe={"damage": damage}), DATASET, evaluate(model, DATASET, TRACKS["reference"], limit=4)
        )
        assert advice in Page(path).text


@pytest.mark.parametrize(("arm", "figures", "absent"), [
    ("classify", {"classification_loss": 2.0, "accuracy": 30.0}, ["PSNR dB", "→", "Joint loss"]),
    ("restore", {"restoration_loss": 0.1, "psnr": 25.0}, ["accuracy %", "predicted", "✓", "✗", "Joint loss"]),
])  # fmt: skip
def test_one_task_alone(tmp_path: Path, arm: str, figures: dict[str, float], absent: list[str]) -> None:
    write_log(tmp_path, **figures)
    page, evaluation = report(tmp_path, arm)
    assert len(page.all("svg")) == 3
    assert not [text for text in absent if text in page.text]
    assert (evaluation.metrics["accuracy"] is None) == ("classifies" not in page.text)


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    named = replace(DATASET, classes=("<b>&", "<script>alert(1)</script>", '" onload="'))
    page, _ = report(tmp_path, dataset=named)
    assert "true class: <b>&" in page.text
    assert not page.all("script")
    assert not [attributes for _, attributes in page.tags if "onload" in attributes]


@pytest.mark.parametrize(("log", "num_charts"), [
    (None, 0),
    ("", 0),
    ('{"step": 1, "seconds": 0.5, "learning_rate_factor": 0.0, "loss": 2.5, "psnr": 20.0}\n{"step": 2, "sec', 2),
    ('{"step": 1, "seconds": 0.5, "learning_rate_factor": 0.0, "loss": NaN, "psnr": NaN}\n', 1),
])  # fmt: skip
def test_a_log_that_is_missing_or_cut(tmp_path: Path, log: str | None, num_charts: int) -> None:
    if log is not None:
        (tmp_path / LOG).write_text(log)
    page, _ = report(tmp_path)
    assert len(page.all("svg")) == num_charts
    assert ("has no records" in page.text) == (num_charts == 0)


def test_levels_have_rows_of_their_own(tmp_path: Path) -> None:
    page, evaluation = report(tmp_path, track="lowres")
    for level, scores in evaluation.levels.items():
        assert page.row(level)[3] == f"{scores['psnr']:.2f}"


def test_without_damage_nothing_is_restored(tmp_path: Path) -> None:
    page, evaluation = report(tmp_path, track="clean")
    assert f"% of undamaged test pictures correctly and returns them at {evaluation.metrics['psnr']:.1f} dB." in page.text
    assert "identical →" in page.text


def test_other_sizes_and_pictures_without_labels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 2 * MAX_SIDE, 3), dtype=np.uint8)
    page, _ = report(tmp_path, dataset=Dataset(images, np.full(2, UNLABELLED), ("a", "b", "c"), "shapes", "test"))
    assert {(attributes["width"], attributes["class"]) for attributes in page.all("img")} == {(str(MAX_SIDE), "large")}
    assert "true class: not known" in page.text
    assert "✓" not in page.text
    assert "This network restores" in page.text or "This network worsens" in page.text


def test_a_second_report_takes_the_place_of_the_first(tmp_path: Path) -> None:
    report(tmp_path)
    report(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]


def test_pieces() -> None:
    assert html("{a}{b}", a="<", b=html("<i>{c}</i>", c='"&')) == "&lt;<i>&#34;&amp;</i>"
    assert [duration(seconds) for seconds in (0.4, 59.6, 3600)] == ["0 s", "1 min 0 s", "1 h 0 min"]


def test_the_damage_of_a_track_is_described_with_its_ranges() -> None:
    medical = described("medical")
    assert medical.startswith("at most 3 of: motion blur of 0.01 to 0.05 (length as a part of the shorter side, probability 0.25), then ")
    assert "low dose of 100 to 2000 (photons in a clear pixel, probability 0.3)" in medical
    assert described("reference") == "gaussian noise of 0.05 (sigma on the [0, 1] scale), then occlusion of 8 (side in pixels)"
    assert described("clean") == "no damage"
    assert described("pairs") == "real damage, of the damaged versions in the data set"
