"""Figures are those of what predictions give: temperature, gate, and the size at which pictures are classified."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.checkpoint import ModelMetadata, model_card, save_model
from pellucid.cli import main
from pellucid.data.synthetic import shapes
from pellucid.evaluation import TRACKS
from pellucid.evaluation.calibration import as_predicted
from pellucid.evaluation.evaluate import evaluate
from pellucid.inference import Predictor
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.models.gate import Gate
from pellucid.models.predicting import Predicting
from pellucid.recipe import Recipe, settings

CLASSES = ("dark", "bright")
CONFIG = ModelConfig(encoder=EncoderConfig(patch=2, widths=(8, 8), depths=(1, 1)), damage_head=True)


class Noticer(nn.Module):
    """Adds to every pixel; takes flat pictures for undamaged ones; loses the pixels of all."""

    def __init__(self, offset: float = 0.1) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, images: Tensor) -> Output:
        mean = images.mean(dim=(1, 2, 3))
        logits = torch.stack([2 - 4 * mean, 4 * mean - 2], 1)
        presence = images.diff(dim=3).abs().mean(dim=(1, 2, 3))[:, None] - 0.05
        return Output(logits, images + self.offset, presence, torch.ones_like(presence), torch.ones_like(images[:, :1]))


def pictures(side: int) -> np.ndarray:
    """A flat one and a noisy one."""
    noisy = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    return np.stack([np.full_like(noisy, 90), noisy])


@pytest.mark.parametrize("side", [16, 100])
@torch.inference_mode()
def test_outputs_are_those_of_the_predictor(side: int) -> None:
    """At the size of the training images, and at one where class and damage come from smaller pictures."""
    gate = Gate(presence=0.0, change=0.005)
    pixels, network = pictures(side), Noticer().eval()
    predictions = Predictor(network, CLASSES, damages=("jpeg",), image_size=16, temperature=3.0, gate=gate).predict(list(pixels))
    output = Predicting(network, 3.0, gate, 16)(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)
    assert [prediction.left for prediction in predictions] == [side == 16, False]
    for index, prediction in enumerate(predictions):
        probabilities = output.logits[index].softmax(0).tolist()
        assert prediction.probabilities == pytest.approx(dict(zip(CLASSES, probabilities, strict=True)), abs=1e-3)
        restored = (output.restored[index].clamp(0, 1) * 255).permute(1, 2, 0).numpy()
        assert np.abs(restored - prediction.restored).max() <= 0.501
        np.testing.assert_array_equal(output.mask[index, 0].numpy() > 0, prediction.mask)


@torch.inference_mode()
def test_a_model_without_temperature_and_gate_is_measured_as_it_is() -> None:
    network, images = Noticer().eval(), torch.rand(3, 3, 16, 16)
    for ours, theirs in zip(as_predicted(network, ModelMetadata(CONFIG, CLASSES))(images), network(images), strict=True):
        assert torch.equal(ours, theirs)


@torch.inference_mode()
def test_what_is_not_finite_is_not_left_and_counts_as_broken() -> None:
    network = Noticer(torch.nan).eval()
    evaluation = evaluate(Predicting(network, gate=Gate(presence=9.0)), shapes(8).test, TRACKS["reference"])
    assert evaluation.metrics["broken"] == evaluation.num_images


@torch.inference_mode()
def test_a_classifier_has_no_gate() -> None:
    class Classifier(Noticer):
        def forward(self, images: Tensor) -> Output:
            return super().forward(images)._replace(restored=None, mask=None)

    output = Predicting(Classifier().eval(), 2.0, Gate(presence=9.0))(torch.rand(2, 3, 16, 16))
    assert output.restored is None
    assert output.logits is not None


def test_evaluate_measures_predictions_or_the_network_and_says_which(
    tmp_path: Path, tiny: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = ModelMetadata(
        CONFIG, shapes(1).train.classes, ("gaussian_noise", "occlusion"), settings(tiny), temperature=2.0, gate=Gate(presence=99.0)
    )
    network = build_model(CONFIG, len(metadata.classes), metadata.damages).eval()
    save_model(tmp_path / "model", network, metadata)
    figures = {}
    for name, flags in (("predicted", []), ("raw", ["--raw"])):
        file = tmp_path / f"{name}.json"
        main(["evaluate", str(tmp_path / "model"), "--limit", "40", "--device", "cpu", "--json", str(file), *flags])
        figures[name] = json.loads(file.read_text())
    said = capsys.readouterr().out
    assert "Outputs: as predict gives them, with temperature 2 and gate; --raw" in said
    assert "Outputs: the network's own, without temperature 2 and gate" in said
    predicted, raw = figures["predicted"], figures["raw"]
    assert (predicted["raw"], raw["raw"]) == (False, True)
    assert (predicted["temperature"], predicted["gate"]) == (2, {"presence": 99, "change": None})
    assert predicted["psnr"] == pytest.approx(predicted["input_psnr"])  # the gate leaves every image
    assert raw["psnr"] != pytest.approx(raw["input_psnr"], abs=0.01)
    assert predicted["accuracy"] == raw["accuracy"]
    assert predicted["ece"] != raw["ece"]


def test_the_card_says_whose_figures_they_are() -> None:
    scores = {"track": "clean", "split": "test", "dataset": "pets", "num_images": 9, "accuracy": 50.0}
    older = ModelMetadata(CONFIG, CLASSES, gate=Gate(presence=0.0), fitted="gate on 300 training images", figures={"clean": scores})
    card = model_card(older)
    assert "the network's own outputs, without temperature and gate" in card
    assert "--track NAME --raw`" in card
    assert "**Confidence**: not calibrated: no labelled images were held out" in card
    newer = ModelMetadata(
        CONFIG, CLASSES, temperature=1.2345, fitted="temperature on 100 validation images", figures={"clean": scores | {"raw": False}}
    )
    card = model_card(newer)
    assert "the outputs of `predict`" in card
    assert "calibrated, temperature 1.234 (temperature on 100 validation images)" in card
    assert "--raw" not in card
