"""Reliability: temperature, gate, abstention, second look, estimated errors, and their measures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from test_degradations import DEVICES
from torch import Tensor, nn

from pellucid import pictures
from pellucid.batch import Output
from pellucid.checkpoint import CONFIG, ModelMetadata, load_model, save_model
from pellucid.cli import main
from pellucid.data import Splits, hold_out
from pellucid.data.synthetic import shapes
from pellucid.degradations import SUITES
from pellucid.errors import UserError
from pellucid.evaluation import TRACKS
from pellucid.evaluation.calibration import CEILING, MAX_LOSS, calibrate, fit_gate, fit_temperature
from pellucid.evaluation.ranking import NUM_CUTS, rank_correlation, risk_coverage, sparsification, sparsification_error
from pellucid.evaluation.trust import measure_trust
from pellucid.evaluation.trust_figures import Trust
from pellucid.inference import Predictor, predict_files
from pellucid.inference.maps import WHITE, draw_map, uncertainty_map
from pellucid.inference.pixels import STRIP_ROWS
from pellucid.metrics import Columns
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.models.evidence import evidence_of
from pellucid.models.gate import BLOCK, Gate, change_of, undamaged
from pellucid.models.uncertainty import uncertainty
from pellucid.recipe import Recipe, settings
from pellucid.reporting.blocks import Table
from pellucid.reporting.reliability import confusion_section

CONFIG_OF_ALL = ModelConfig(encoder=EncoderConfig(patch=2, widths=(8, 8), depths=(1, 1)), damage_head=True)
CLASSES = ("dark", "bright", "odd")


class Brightener(nn.Module):
    """Adds to every pixel; takes dark pictures for the first class, bright ones for the second; presence is the mean above 0.5."""

    def __init__(self, offset: float = 0.2) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, images: Tensor) -> Output:
        mean = images.mean(dim=(1, 2, 3))
        logits = torch.stack([2 - 4 * mean, 4 * mean - 2, torch.full_like(mean, -9)], 1)
        mask = torch.full_like(images[:, :1], 1.0)
        return Output(logits, images + self.offset, (mean - 0.5)[:, None], torch.ones_like(mean)[:, None], mask)


def grey(level: int, side: int = 16) -> NDArray[np.uint8]:
    return np.full((side, side, 3), level, np.uint8)


def predictor(**options: Any) -> Predictor:
    return Predictor(Brightener().eval(), CLASSES, damages=("gaussian_noise",), **options)


class TestTemperature:
    def test_it_finds_the_temperature_that_the_labels_were_drawn_with(self) -> None:
        random = torch.Generator().manual_seed(0)
        logits = 3 * torch.randn(20_000, 5, generator=random)
        labels = torch.multinomial((logits / 2).softmax(1), 1, generator=random).squeeze(1)
        assert fit_temperature(logits, labels) == pytest.approx(2, rel=0.05)

    def test_a_few_images_without_a_mistake_do_not_make_a_network_certain(self) -> None:
        logits = 3 * torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        assert 0.3 < fit_temperature(logits, logits.argmax(1)) < 1

    def test_predictions_are_divided_by_it_and_keep_their_label(self) -> None:
        [sharp], [soft] = predictor().predict(grey(200)), predictor(temperature=4.0).predict(grey(200))
        assert sharp.label == soft.label == "bright"
        assert sharp.confidence is not None
        assert soft.confidence is not None
        logits = torch.tensor([2 - 4 * 200 / 255, 4 * 200 / 255 - 2, -9])
        assert soft.confidence == pytest.approx((logits / 4).softmax(0)[1].item(), abs=1e-5)
        assert soft.confidence < sharp.confidence

    def test_only_held_out_images_give_one(self) -> None:
        whole = shapes(300).train
        train, validation = hold_out(whole, 100)
        network = build_model(CONFIG_OF_ALL, len(whole.classes), SUITES["reference"].kinds).eval()
        without = calibrate(network, Splits(train, whole), SUITES["reference"])
        assert without.temperature == 1
        assert "temperature" not in without.fitted
        held_out = calibrate(network, Splits(train, whole, validation), SUITES["reference"])
        assert held_out.temperature != 1
        assert "temperature" in held_out.fitted
        assert "100 validation images" in held_out.fitted
        assert without.least_evidence is None
        assert held_out.least_evidence is not None
        few = calibrate(network, Splits(train, whole, validation.subset(slice(20))), SUITES["reference"])
        assert (few.temperature, few.least_evidence) == (1, None)
        assert "validation" not in few.fitted
        assert calibrate(network, Splits(train.subset(slice(20)), whole), SUITES["reference"]).gate is None


def columns(before: float, after: float, **values: Sequence[float]) -> Columns:
    num = len(values["change"])
    tensors = {name: torch.tensor(each) for name, each in values.items()}
    return {**tensors, "before": torch.full((num,), before), "after": torch.full((num,), after)}


class TestGate:
    def test_it_leaves_as_many_undamaged_images_as_cost_damaged_ones_little(self) -> None:
        clean, changes = columns(CEILING, 40.0, change=[0.1, 0.2, 0.3, 0.7]), [0.35, 0.5, 0.6, 0.8]
        gate = fit_gate(clean, columns(20.0, 30.0, change=changes))
        assert gate is not None
        assert gate.change is not None
        assert 0.3 <= gate.change < 0.35
        assert gate.presence is None
        assert fit_gate(clean, columns(30.0, 30.0 + MAX_LOSS / 2, change=changes)) == Gate(change=pytest.approx(0.7))
        assert fit_gate(clean, columns(20.0, 30.0, change=[0.05] * 4)) is None

    def test_the_damage_head_adds_to_it(self) -> None:
        clean = columns(CEILING, 40.0, change=[0.1, 0.2, 0.3, 0.7], presence=[-1.0, -1.0, -1.0, -3.0])
        damaged = columns(20.0, 30.0, change=[0.35, 0.5, 0.6, 0.8], presence=[-2.0, 1.0, 1.0, 1.0])
        gate = fit_gate(clean, damaged)
        assert gate is not None
        assert gate.change is not None
        assert gate.presence is not None
        assert 0.3 <= gate.change < 0.35
        assert -3 <= gate.presence < -2

    def test_undamaged_images_among_the_damaged_ones_do_not_make_up_for_losses(self) -> None:
        clean, damaged = columns(CEILING, 40.0, change=[0.1, 0.2, 0.3, 0.7]), columns(20.0, 22.0, change=[0.35, 0.5, 0.6, 0.8])
        some = columns(CEILING, 40.0, change=[0.1, 0.2])
        mixed = {name: torch.cat([damaged[name], some[name]]) for name in damaged}
        assert fit_gate(clean, mixed) == fit_gate(clean, damaged)

    def test_it_is_fitted_to_a_network_that_knows_what_is_damaged(self) -> None:
        class NoiseDetector(nn.Module):
            def forward(self, images: Tensor) -> Output:
                noisy = images.diff(dim=3).abs().mean(dim=(1, 2, 3)) > 0.05  # drawn shapes are flat
                return Output(restored=images.mean(dim=1, keepdim=True).expand_as(images), presence=noisy.float()[:, None])

        splits = Splits(shapes(300).train, shapes(300).train)
        calibration = calibrate(NoiseDetector().eval(), splits, lambda images, random: SUITES["reference"](images, random))
        assert calibration.gate is not None
        assert "gate on 300 given images" in calibration.fitted
        assert calibration.temperature == 1

    def test_a_change_counts_by_the_block_that_is_changed_most(self) -> None:
        images = np.full((2, 3, 5 * BLOCK + 3, 4 * BLOCK), 0.5, np.float32)
        restored = images.copy()
        restored[1, :, -3:, -BLOCK:] += 0.1
        assert change_of(images, restored).tolist() == pytest.approx([0, 0.01], abs=1e-6)

    def test_the_likeliest_damage_counts(self) -> None:
        presence, change = np.array([[-2.0, -1.0], [-2.0, 1.0]]), np.full(2, 0.3)
        assert undamaged(Gate(presence=0.0), presence, change).tolist() == [True, False]

    def test_a_small_change_suffices_and_a_damage_head_that_saw_a_smaller_picture_does_not_count(self) -> None:
        gate, presence, change = Gate(presence=0.0, change=0.1), np.array([[-9.0], [9.0]]), np.array([0.5, 0.05])
        assert undamaged(gate, presence, change).tolist() == [True, True]
        assert undamaged(gate, presence, change, own_size=False).tolist() == [False, True]
        assert undamaged(gate, None, change).tolist() == [False, True]
        assert undamaged(None, presence, change).tolist() == [False, False]

    @pytest.mark.parametrize("side", [16, 200])
    def test_predictions(self, side: int) -> None:
        gate = Gate(presence=0.0, change=0.01)
        [dark] = predictor(gate=gate).predict(grey(60, side))
        near = side < 64
        assert dark.left is near  # the large one is changed by 0.04
        assert dark.restored is not None
        assert dark.mask is not None
        np.testing.assert_array_equal(dark.restored, grey(60 if near else 111, side))
        assert dark.mask.any() != near
        [bright] = predictor(gate=gate).predict(grey(180, side))
        assert not bright.left
        [again] = predictor().predict(grey(60, side))
        assert not again.left


class TestAbstention:
    def test_below_the_threshold_there_is_no_label(self) -> None:
        sure, unsure = predictor(abstain_below=0.7).predict([grey(250), grey(130)])
        assert (sure.label, sure.abstained) == ("bright", False)
        assert (unsure.label, unsure.abstained, unsure.likeliest) == (None, True, "bright")
        assert unsure.confidence is not None

    @pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
    def test_a_threshold_is_a_probability(self, threshold: float) -> None:
        with pytest.raises(UserError, match="Expected a probability from 0 to 1"):
            predictor(abstain_below=threshold)


class TestSecondLook:
    def test_the_alarm_tells_another_class(self) -> None:
        dark, near_middle = predictor(second_look=True).predict([grey(20), grey(110)])
        assert (dark.label, dark.restored_label, dark.alarm) == ("dark", "dark", False)
        assert (near_middle.label, near_middle.restored_label, near_middle.alarm) == ("dark", "bright", True)
        [alone] = predictor().predict(grey(110))
        assert alone.alarm is None

    def test_what_is_left_as_it_is_raises_none(self) -> None:
        [left] = predictor(second_look=True, gate=Gate(presence=0.0)).predict(grey(110))
        assert left.alarm is False


class TestUncertainty:
    def test_detail_and_change_make_uncertain(self) -> None:
        picture = np.full((24, 24, 3), 0.5, np.float32)
        restored = picture.copy()
        restored[:, 10] = 0.9
        guess = uncertainty(picture, restored)
        assert guess.shape == (24, 24)
        assert guess[:, 10].min() > 0.03
        assert guess[:, 20].max() == pytest.approx(0, abs=1e-3)

    def test_strips_are_seamless(self) -> None:
        random = np.random.default_rng(0)
        picture, restored = random.integers(0, 256, (2, STRIP_ROWS + 37, 12, 3), dtype=np.uint8)
        before, after = (np.asarray(each / 255, np.float32) for each in (picture, restored))
        whole = uncertainty(before, after)
        np.testing.assert_allclose(uncertainty_map(picture, restored), whole, atol=1e-6)
        assert draw_map(np.array([[0, WHITE / 2, 3]], np.float32))[0, :, 0].tolist() == [0, 128, 255]


class TestRanking:
    def test_rank_correlation_is_that_of_scipy(self) -> None:
        guess, error = torch.rand(3, 8, 8), torch.rand(3, 8, 8)
        error[1] = guess[1] ** 3
        error[2] = 0.5
        expected = spearmanr(guess[0].flatten(), error[0].flatten()).statistic
        assert rank_correlation(guess, error)[:2].tolist() == pytest.approx([expected, 1])
        assert rank_correlation(guess, error)[2].isnan()

    def test_sparsification(self) -> None:
        error = torch.rand(4, 20, 20)
        oracle, random, worst = (sparsification(key, error).mean(0) for key in (error, torch.rand(4, 20, 20), -error))
        assert oracle.shape == (NUM_CUTS,)
        assert oracle[0] == pytest.approx(error.mean().item())
        assert sparsification_error(oracle, oracle) == 0
        assert sparsification_error(random, oracle) == pytest.approx(1, abs=0.2)
        assert (sparsification_error(worst, oracle) or 0) > 1.5
        assert sparsification_error(oracle * 0, oracle * 0) is None

    def test_risk_coverage(self) -> None:
        risk = risk_coverage(torch.tensor([0.2, 0.9, 0.5]), torch.tensor([0.0, 1.0, 0.0]))
        assert risk.tolist() == pytest.approx([0, 1 / 2, 2 / 3])

    @pytest.mark.parametrize("correct", [[0.0, 0, 1, 1, 1], [1.0, 1, 0, 0, 1]])
    def test_risk_coverage_does_not_depend_on_the_order_of_equal_confidences(self, correct: list[float]) -> None:
        risk = risk_coverage(torch.tensor([0.7, 0.7, 0.7, 0.7, 0.9]), torch.tensor(correct))
        assert risk.tolist() == pytest.approx([0, 1 / 4, 1 / 3, 3 / 8, 2 / 5])


class TestUnfamiliar:
    def test_evidence_is_the_logarithm_of_the_sum(self) -> None:
        logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0]], np.float32)
        np.testing.assert_allclose(evidence_of(logits), [torch.logsumexp(torch.tensor(logits[0]), 0).item(), 1000], rtol=1e-6)

    def test_pictures_with_little_evidence_are_unlike_the_training(self) -> None:
        even, clear = predictor(least_evidence=1.0).predict([grey(128), grey(0)])
        assert (even.unfamiliar, clear.unfamiliar) == (True, False)
        assert even.label is not None
        assert predictor().predict(grey(128))[0].unfamiliar is None

    def test_a_twentieth_of_the_held_out_images_are(self) -> None:
        whole = shapes(300).train
        network = build_model(CONFIG_OF_ALL, len(whole.classes), SUITES["none"].kinds).eval()
        train, validation = hold_out(whole, 100)
        least = calibrate(network, Splits(train, whole, validation), SUITES["none"]).least_evidence
        metadata = ModelMetadata(CONFIG_OF_ALL, whole.classes, least_evidence=least)
        trust = measure_trust(network, metadata, validation, TRACKS["clean"])
        figures = trust.to_json()["unfamiliar"]
        assert figures["rate"] == pytest.approx(0.05, abs=0.011)
        correct, warned = trust.columns["correct"], trust.columns["unfamiliar"] > 0
        assert figures["accuracy"] == pytest.approx(100 * correct[warned].mean().item())
        assert figures["accuracy_of_others"] == pytest.approx(100 * correct[~warned].mean().item(), rel=1e-5)

    def test_predict_warns(self, tmp_path: Path) -> None:
        network = build_model(CONFIG_OF_ALL, 3).eval()
        save_model(tmp_path / "model", network, ModelMetadata(CONFIG_OF_ALL, CLASSES, least_evidence=99.0))
        pictures.write(tmp_path / "a.png", grey(9))
        text: list[str] = []
        summary = predict_files([tmp_path / "a.png"], tmp_path / "out", tmp_path / "model", "cpu", log=text.append)
        line = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
        assert line["unfamiliar"] is True
        assert " %, unlike the training pictures" in text[0]
        assert "1 unlike the training pictures" in str(summary)
        assert "with a warning" in str(summary)


def test_thousands_of_classes_have_a_report() -> None:
    names = tuple(map(str, range(5000)))
    label, predicted = torch.arange(5000.0), torch.arange(5000.0).clamp(min=2)
    columns = {"label": label, "predicted": predicted, "correct": (label == predicted).float(), "confidence": torch.ones(5000)}
    confusion = Trust("everyday", "shapes", "test", 5000, 1.0, "", names, columns, {}, {}).confusion()
    assert len(confusion) == 5000
    assert {tuple(each.values()) for each in confusion if each["true"] != each["predicted"]} == {("0", "2", 1), ("1", "2", 1)}
    section = confusion_section(confusion, names)
    assert section is not None
    assert next(block for block in section.blocks if isinstance(block, Table)).rows == [
        ["0", "2", "1", "100.0 %"],
        ["1", "2", "1", "100.0 %"],
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_the_measures_agree_with_their_definitions(device: str) -> None:
    dataset = replace(shapes(60, num_classes=3).train, name="shapes", split="test")
    torch.manual_seed(1)
    network = build_model(CONFIG_OF_ALL, 3, SUITES["everyday"].kinds).eval().to(device)
    metadata = ModelMetadata(CONFIG_OF_ALL, dataset.classes, SUITES["everyday"].kinds, temperature=2.0, gate=Gate(presence=9.0))
    trust = measure_trust(network, metadata, dataset, TRACKS["everyday"], batch_size=25, device=device)
    figures = json.loads(json.dumps(trust.to_json()))
    correct = trust.columns["correct"]
    assert sum(each["num_images"] for each in figures["confusion"]) == len(dataset)
    assert sum(each["num_images"] for each in figures["confusion"] if each["true"] == each["predicted"]) == correct.sum()
    assert min(each["num_images"] for each in figures["confusion"]) > 0
    assert sum(each["num_images"] for each in figures["confidence"]["bins"]) == len(dataset)
    assert figures["abstention"]["curve"]["risk"][-1] == pytest.approx(1 - correct.mean().item())
    assert (figures["gate"]["clean_left"], figures["gate"]["clean_psnr"]) == (1, CEILING)
    assert figures["gate"]["clean_psnr_without_gate"] < CEILING
    assert figures["alarm"]["rate"] == 0  # everything is left
    for kind, rows in figures["strengths"].items():
        assert sum(row["num_images"] for row in rows) == int((~trust.strengths[kind].isnan()).sum())
        assert [row["strength"] for row in rows] == sorted(row["strength"] for row in rows)
    levels = measure_trust(network, metadata, dataset, TRACKS["noise"], limit=10, device=device).to_json()["strengths"]["gaussian_noise"]
    assert [round(row["strength"], 2) for row in levels] == [0.04, 0.06, 0.08, 0.09, 0.1]
    with pytest.raises(UserError, match="at least one image"):
        measure_trust(network, metadata, dataset.subset(slice(0)), TRACKS["noise"])


class TestSaved:
    def test_temperature_and_gate_come_back(self, tmp_path: Path) -> None:
        metadata = ModelMetadata(CONFIG_OF_ALL, CLASSES, temperature=1.5, gate=Gate(change=0.1), fitted="gate", least_evidence=2.5)
        save_model(tmp_path / "new", build_model(CONFIG_OF_ALL, 3), metadata)
        assert load_model(tmp_path / "new", "cpu")[1] == metadata
        config = json.loads((tmp_path / "new" / CONFIG).read_text())
        for name in ("temperature", "gate", "fitted", "least_evidence"):
            del config[name]
        (tmp_path / "new" / CONFIG).write_text(json.dumps(config))
        older = load_model(tmp_path / "new", "cpu")[1]
        assert (older.temperature, older.gate, older.fitted, older.least_evidence) == (1, None, "", None)

    @pytest.mark.parametrize(
        ("name", "value"), [("temperature", 0), ("temperature", float("nan")), ("gate", {"no": 1}), ("least_evidence", float("inf"))]
    )
    def test_others_are_refused(self, tmp_path: Path, name: str, value: Any) -> None:
        save_model(tmp_path / "bad", build_model(CONFIG_OF_ALL, 3), ModelMetadata(CONFIG_OF_ALL, CLASSES))
        config = json.loads((tmp_path / "bad" / CONFIG).read_text()) | {name: value}
        (tmp_path / "bad" / CONFIG).write_text(json.dumps(config))
        with pytest.raises(UserError, match="Expected a whole model"):
            load_model(tmp_path / "bad", "cpu")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_model(CONFIG_OF_ALL, 3, ("gaussian_noise",)).eval()
    save_model(tmp_path / "model", network, ModelMetadata(CONFIG_OF_ALL, CLASSES, ("gaussian_noise",), gate=Gate(presence=99.0)))
    return tmp_path / "model"


def test_predict_says_all_of_it(tmp_path: Path, model: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    pictures.write(tmp_path / "in" / "a.png", picture)
    text: list[str] = []
    options: dict[str, Any] = {"abstain_below": 0.99, "second_look": True, "uncertainty": True}
    out = tmp_path / "out"
    summary = predict_files([tmp_path / "in"], out, model, "cpu", log=text.append, **options)
    [line] = [json.loads(each) for each in (out / "predictions.jsonl").read_text().splitlines()]
    assert (line["label"], line["abstained"], line["left"], line["alarm"]) == (None, True, True, False)
    assert line["abstain_below"] == 0.99
    assert pictures.read(out / line["uncertainty"]).shape == picture.shape
    np.testing.assert_array_equal(pictures.read(out / line["restored"]), picture)
    assert "not sure (" in text[0]
    assert "found undamaged and left" in text[0]
    assert "1 found undamaged and left, 1 without a sure class" in str(summary)
    with pytest.raises(UserError, match="Expected to go on with the model of"):
        predict_files([tmp_path / "in"], out, model, "cpu", resume=True)
    predict_files([tmp_path / "in"], out, model, "cpu", resume=True, **options)
    predict_files([tmp_path / "in"], tmp_path / "ungated", model, "cpu", gate=False)
    [line] = [json.loads(each) for each in (tmp_path / "ungated" / "predictions.jsonl").read_text().splitlines()]
    assert line["left"] is False
    assert not {"abstained", "alarm", "uncertainty"} & set(line)


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    config = replace(CONFIG_OF_ALL, tasks="restore")
    save_model(tmp_path / "model", build_model(config, 3), ModelMetadata(config, CLASSES))
    with pytest.raises(UserError, match="leave out --abstain-below"):
        Predictor.load(tmp_path / "model", "cpu", abstain_below=0.5)


def test_training_ends_with_a_report_and_report_makes_another(tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = replace(tiny, model=replace(tiny.model, damage_head=True), training=replace(tiny.training, epochs=1))
    (tmp_path / "recipe.json").write_text(json.dumps(settings(recipe)))
    run = tmp_path / "run"
    main(["train", "--config", str(tmp_path / "recipe.json"), "--data.validation", "16", "--out", str(run), "--device", "cpu"])
    first = json.loads((run / "evaluation.json").read_text())
    assert (first["split"], first["trust"]["num_images"]) == ("validation", 16)
    main(["report", str(run), "--limit", "30", "--device", "cpu"])
    figures = json.loads((run / "evaluation.json").read_text())
    assert (figures["split"], figures["trust"]["num_images"]) == ("test", 30)
    assert set(figures["trust"]["strengths"]) == {"gaussian_noise", "occlusion"}
    page = (run / "report.html").read_text()
    for heading in ("Reliability", "Confusion matrix", "By strength of the damage", "Largest and smallest gains", "The alarm"):
        assert heading in page
        assert heading in (run / "report.md").read_text()
    assert "The report:" in capsys.readouterr().out
    main(["report", str(run), "--track", "clean", "--limit", "20", "--device", "cpu"])  # without damaged pictures
    figures = json.loads((run / "evaluation.json").read_text())
    assert figures["track"] == "clean"
    assert {row["num_images"] for rows in figures["trust"]["strengths"].values() for row in rows} == {20}


@pytest.mark.parametrize(("arguments", "wanted"), [
    (["report", "{folder}"], "Expected the folder of a finished run"),
    (["report", "{folder}", "--limit", "0"], "Expected a limit of at least 1"),
    (["predict", "{folder}/a.png", "--out", "{folder}/out", "--abstain-below", "7"], "Expected a probability from 0 to 1"),
])  # fmt: skip
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], wanted: str) -> None:
    pictures.write(tmp_path / "a.png", grey(9))
    with pytest.raises(SystemExit) as stopped:
        main([each.format(folder=tmp_path) for each in arguments])
    assert stopped.value.code == 2
    assert wanted in capsys.readouterr().err
