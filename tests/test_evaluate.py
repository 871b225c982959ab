"""From a model, a data set and a track to the figures."""

import io
import json

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from pellucid import data
from pellucid.batch import Batch, Output
from pellucid.data import hold_out
from pellucid.data.dataset import Dataset
from pellucid.degradations import Pipeline, Step
from pellucid.errors import UserError
from pellucid.evaluation import TRACKS, Level, Track
from pellucid.evaluation.classical import CLASSICAL, SMOOTHING, denoise, inpaint
from pellucid.evaluation.evaluate import UNSEEN, Evaluation, batches, evaluate
from pellucid.evaluation.tracks import apply_damage
from pellucid.metrics import MAX_PSNR, psnr_of

NUM = 11


@pytest.fixture
def dataset() -> Dataset:
    """Smooth pictures, brighter from image to image."""
    index, row, column, channel = np.meshgrid(*(np.arange(length) for length in (NUM, 32, 32, 3)), indexing="ij")
    images = (128 + (5 * index) + 40 * np.sin(row / 6 + channel) + 30 * np.cos(column / 5 - index)).astype(np.uint8)
    return Dataset(images, np.arange(NUM, dtype=np.int64) % 3, ("a", "b", "c"), "waves", "test")


def do_nothing(degraded: Tensor) -> Output:
    """Restores nothing and always predicts the first class."""
    return Output(torch.tensor([[2.0, 0.0, 0.0]]).expand(len(degraded), 3), degraded)


def test_doing_nothing(dataset: Dataset) -> None:
    evaluation = evaluate(do_nothing, dataset, TRACKS["reference"])
    scores = evaluation.metrics
    assert evaluation.num_images == NUM
    assert scores["psnr"] == scores["input_psnr"]
    assert scores["accuracy"] == pytest.approx(100 * 4 / NUM)
    assert 20 < (scores["psnr"] or 0) < 26


def test_clean_images_are_untouched(dataset: Dataset) -> None:
    evaluation = evaluate(do_nothing, dataset, TRACKS["clean"])
    assert evaluation.metrics["psnr"] == evaluation.metrics["input_psnr"] == MAX_PSNR
    assert evaluation.metrics["ssim"] == pytest.approx(1)
    assert evaluation.metrics["mask_psnr"] is None


@pytest.mark.parametrize("track", [track for name, track in TRACKS.items() if name != "pairs"])
def test_json(track: Track, dataset: Dataset) -> None:
    actual = json.loads(json.dumps(evaluate(do_nothing, dataset, track).to_json(), allow_nan=False))
    assert {"track", "num_images", "accuracy", "psnr", "ssim", "ece", "input_psnr"} <= set(actual)
    assert actual["track"] == track.name
    assert actual["num_images"] == NUM
    assert isinstance(actual["num_images"], int)
    destroyed = {"occlusion", "scratches", "tears"}
    assert (actual["mask_psnr"] is not None) == any(destroyed & set(level.pipeline.kinds) for level in track.levels)
    if len(track.levels) == 1:
        assert "levels" not in actual
    else:
        assert list(actual["levels"]) == [level.name for level in track.levels]
        for name in ("accuracy", "psnr", "ssim", "input_psnr"):
            assert actual[name] == pytest.approx(np.mean([scores[name] for scores in actual["levels"].values()]))


def test_seen_and_unseen_corruptions(dataset: Dataset) -> None:
    evaluation = evaluate(do_nothing, dataset, TRACKS["corruptions"], limit=4, trained=("gaussian_noise", "jpeg", "occlusion"))
    actual = evaluation.to_json()
    assert actual["seen"] == ["gaussian_noise", "jpeg_compression"]
    assert len(actual["groups"]) == 16
    levels, groups = actual["levels"], actual["groups"]
    snow = [levels[f"snow={severity}"]["psnr"] for severity in range(1, 6)]
    assert groups["snow"]["psnr"] == pytest.approx(np.mean(snow))
    unseen = [scores["psnr"] for name, scores in groups.items() if name not in ("gaussian_noise", "jpeg_compression", UNSEEN)]
    assert len(unseen) == 13
    assert groups[UNSEEN]["psnr"] == pytest.approx(np.mean(unseen))
    assert actual["psnr"] == pytest.approx(np.mean([scores["psnr"] for name, scores in groups.items() if name != UNSEEN]))
    assert list(evaluation.rows())[:2] == ["gaussian_noise (seen)", "shot_noise"]
    assert list(evaluation.rows())[-2:] == [UNSEEN, "mean"]


def shown(evaluation: Evaluation) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(evaluation.table())
    return console.file.getvalue()


def test_data_set_split_and_number_of_images_are_named(dataset: Dataset) -> None:
    validation = hold_out(data.load("shapes").train, 40)[1]
    evaluation = evaluate(lambda images: Output(restored=images), validation, TRACKS["clean"], limit=30)
    assert evaluation.images == "30 validation images of shapes"
    assert "clean, 30 validation images of shapes" in shown(evaluation)
    assert {"dataset": "shapes", "split": "validation", "num_images": 30}.items() <= evaluation.to_json().items()
    assert evaluate(do_nothing, dataset, TRACKS["clean"]).images == f"{NUM} test images of waves"
    assert (data.load("shapes").train.split, data.keep_labels(data.load("shapes").test, 4).split) == ("train", "test")


def test_outputs_that_are_no_numbers_are_counted_shown_and_named_wrong(dataset: Dataset) -> None:
    def sometimes(degraded: Tensor) -> Output:
        logits = torch.tensor([[2.0, 0.0, 0.0]]).repeat(len(degraded), 1)
        restored = degraded.clone()
        logits[0], restored[3, 0, 5, 5] = torch.nan, torch.inf  # both are of the class that is always named
        return Output(logits, restored)

    broken, whole = (evaluate(model, dataset, TRACKS["reference"]) for model in (sometimes, do_nothing))
    assert (broken.metrics["broken"], whole.metrics["broken"]) == (2, 0)
    assert broken.to_json()["broken"] == 2
    assert broken.metrics["accuracy"] == pytest.approx(whole.metrics["accuracy"] - 2 * 100 / NUM)
    kept = [position for position in range(NUM) if position not in (0, 3)]
    assert broken.metrics["psnr"] == pytest.approx(whole.per_image["reference"]["psnr"][kept].mean().item())
    assert broken.metrics["ece"] is not None
    text = shown(broken)
    assert f"{broken.metrics['psnr']:.2f}*" in text
    assert "*: 2 outputs are not finite" in broken.notes
    assert "*" not in shown(whole)

    never = evaluate(lambda images: Output(torch.full((len(images), 3), torch.nan), images * torch.nan), dataset, TRACKS["noise"])
    assert never.metrics["broken"] == 5 * NUM
    assert never.metrics["accuracy"] == 0
    assert never.metrics["psnr"] is None
    assert never.metrics["ece"] is None


def test_a_figure_that_a_level_lacks_is_not_averaged(dataset: Dataset) -> None:
    track = Track("either", (Level("whole", Pipeline()), Level("mask", Pipeline((Step("occlusion", 8),)))))
    evaluation = evaluate(do_nothing, dataset, track)
    assert evaluation.levels["whole"]["mask_psnr"] is None
    assert evaluation.metrics["mask_psnr"] == evaluation.levels["mask"]["mask_psnr"]


@pytest.mark.parametrize("batch_size", [1, 4, 500])
def test_batch_size_does_not_matter(batch_size: int, dataset: Dataset) -> None:
    once = evaluate(do_nothing, dataset, TRACKS["occlusion"], batch_size=batch_size)
    again = evaluate(do_nothing, dataset, TRACKS["occlusion"], batch_size=7)
    assert once.metrics == pytest.approx(again.metrics, abs=1e-6)
    for level, columns in once.per_image.items():
        for name, column in columns.items():
            torch.testing.assert_close(column, again.per_image[level][name], rtol=1e-6, atol=1e-6, equal_nan=True)


def test_limit_takes_the_first_images(dataset: Dataset) -> None:
    few, all_of_them = (evaluate(do_nothing, dataset, TRACKS["reference"], limit=limit) for limit in (4, 400))
    assert few.num_images == 4
    assert all_of_them.num_images == NUM
    assert torch.equal(few.per_image["reference"]["psnr"], all_of_them.per_image["reference"]["psnr"][:4])


def test_the_model_sees_the_tracks_damage(dataset: Dataset) -> None:
    seen: list[Tensor] = []

    def look(degraded: Tensor) -> Output:
        assert torch.is_inference_mode_enabled()
        seen.append(degraded.clone())
        return do_nothing(degraded)

    track = TRACKS["reference"]
    evaluate(look, dataset, track, batch_size=4)
    clean = torch.tensor(dataset.images).permute(0, 3, 1, 2).float() / 255
    assert [len(part) for part in seen] == [4, 4, 3]
    assert torch.equal(torch.cat(seen), apply_damage(track, track.levels[0], clean, range(NUM))[0])


def test_read_only_memory_is_read(dataset: Dataset) -> None:
    dataset.images.flags.writeable = False
    assert evaluate(do_nothing, dataset, TRACKS["clean"]).num_images == NUM


def test_progress(dataset: Dataset) -> None:
    text: list[tuple[int, int]] = []
    evaluate(do_nothing, dataset, TRACKS["lowres"], batch_size=6, progress=lambda done, total: text.append((done, total)))
    assert text == [(6, 22), (11, 22), (17, 22), (22, 22)]


def test_a_network_in_training_mode_is_refused(dataset: Dataset) -> None:
    class Network(nn.Module):
        def forward(self, degraded: Tensor) -> Output:
            return Output(restored=degraded)

    with pytest.raises(ValueError, match=r"Expected a model in evaluation mode, .* call model.eval"):
        evaluate(Network(), dataset, TRACKS["clean"])
    evaluation = evaluate(Network().eval(), dataset, TRACKS["clean"])
    assert evaluation.metrics["accuracy"] is None


@pytest.mark.parametrize("limit", [0, -3])
def test_no_images(limit: int, dataset: Dataset) -> None:
    with pytest.raises(UserError, match="Expected at least one image"):
        evaluate(do_nothing, dataset, TRACKS["clean"], limit=limit)


def test_table(dataset: Dataset) -> None:
    text = shown(evaluate(do_nothing, dataset, TRACKS["occlusion"]))
    for level in TRACKS["occlusion"].levels:
        assert level.name in text
    assert "mean" in text
    assert "mask" in text
    text = shown(evaluate(do_nothing, dataset, TRACKS["clean"]))
    assert "mask" not in text
    assert "mean" not in text
    assert "100.00" in text


DAMAGES = ("occlusion", "jpeg", "gaussian_noise")


def detect(degraded: Tensor) -> Output:
    """Always predicts: a square of side 10, no JPEG, noise of 0.1; and detects lost pixels by their value."""
    printed = torch.tensor([[9.0, -9.0, 9.0]]).expand(len(degraded), 3)
    strength = torch.tensor([[10.0, 50.0, 0.1]]).expand(len(degraded), 3)
    return Output(presence=printed, strength=strength, mask=(degraded == 0.5).all(dim=1, keepdim=True).float() - 0.5)


def test_damage_is_measured_on_what_a_model_knows(dataset: Dataset) -> None:
    evaluation = evaluate(detect, dataset, TRACKS["reference"], damages=DAMAGES)
    scores = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert scores["damage_correct"] == 100
    assert scores["strength_error"] == pytest.approx((2 / 8 + 0.05 / 0.05) / 2)
    assert scores["mask_iou"] == pytest.approx(1)
    assert evaluation.per_image["reference"]["damage_correct"].tolist() == [1] * NUM
    for heading in ("damage accuracy %", "strength error", "mask IoU"):
        assert all(word in shown(evaluation) for word in heading.split())


def test_damage_is_averaged_over_the_levels_that_have_it(dataset: Dataset) -> None:
    noise = evaluate(detect, dataset, TRACKS["noise"], damages=DAMAGES)
    assert noise.metrics["damage_correct"] == 0  # there are no squares
    assert noise.metrics["strength_error"] == pytest.approx(np.mean([0.1 / sigma - 1 for sigma in (0.04, 0.06, 0.08, 0.09, 0.10)]))
    assert noise.metrics["mask_iou"] is None
    lowres = evaluate(detect, dataset, TRACKS["lowres"], damages=DAMAGES)
    assert lowres.metrics["strength_error"] is None  # not trained on low resolution


def test_a_model_without_a_damage_head_has_no_such_figures(dataset: Dataset) -> None:
    evaluation = evaluate(do_nothing, dataset, TRACKS["reference"], damages=DAMAGES)
    assert [evaluation.to_json()[name] for name in ("damage_correct", "strength_error", "mask_iou")] == [None] * 3
    assert "damage" not in shown(evaluation)
    assert "predicted" in evaluation.per_image["reference"]


def test_few_labels_are_measured_on_the_reference_bytes(dataset: Dataset) -> None:
    reference, low_label = (list(batches(dataset, track, track.levels[0], NUM, 4)) for track in (TRACKS["reference"], TRACKS["low-label"]))
    for one, other in zip(reference, low_label, strict=True):
        assert one.degraded.numpy().tobytes() == other.degraded.numpy().tobytes()
        assert torch.equal(one.damage.mask, other.damage.mask)
    evaluation = evaluate(do_nothing, dataset, TRACKS["low-label"])
    assert evaluation.track == "low-label"
    assert evaluation.metrics == evaluate(do_nothing, dataset, TRACKS["reference"]).metrics


def test_classical_rows(dataset: Dataset) -> None:
    psnr = {
        name: evaluate(restore, dataset, TRACKS["reference"], whole_batch=True).metrics["psnr"] or 0 for name, restore in CLASSICAL.items()
    }
    assert psnr["damaged image"] + 0.2 < psnr["non-local means"]
    assert psnr["damaged image"] + 2 < psnr["inpainting"]
    assert psnr["inpainting"] + 1 < psnr["inpainting, then means"]


def reference_batch(dataset: Dataset) -> Batch:
    track = TRACKS["reference"]
    return next(batches(dataset, track, track.levels[0], NUM, NUM))


def test_inpainting_changes_the_hole_alone(dataset: Dataset) -> None:
    batch = reference_batch(dataset)
    restored = CLASSICAL["inpainting"](batch).restored
    assert restored is not None
    outside = ~batch.damage.mask.expand_as(restored)
    assert (restored - batch.degraded)[outside].abs().max() <= 0.5 / 255 + 1e-6
    gain = psnr_of(restored, batch.clean, batch.damage.mask) - psnr_of(batch.degraded, batch.clean, batch.damage.mask)
    assert gain.mean() > 6


def test_classical_methods_on_what_they_cannot_improve() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    assert np.array_equal(denoise(picture, 0), picture)
    assert np.array_equal(inpaint(picture, np.zeros((12, 15), dtype=np.uint8)), picture)


def test_the_damage_of_pairs_is_not_known(dataset: Dataset) -> None:
    paired = Dataset(dataset.images, dataset.labels, dataset.classes, "waves", "test", dataset.images)  # type: ignore[arg-type]
    scores = evaluate(lambda damaged: detect(damaged)._replace(restored=damaged), paired, TRACKS["pairs"], damages=DAMAGES).metrics
    assert [scores[name] for name in ("damage_correct", "strength_error", "mask_iou")] == [None] * 3


def test_large_images_come_in_smaller_batches(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    height, width = dataset.size
    monkeypatch.setattr("pellucid.evaluation.evaluate.BATCH_PIXELS", 7 * height * width + 1)
    sizes = []
    scores = evaluate(lambda damaged: sizes.append(len(damaged)) or Output(restored=damaged), dataset, TRACKS["reference"])
    assert max(sizes) == 7
    assert sum(sizes) == scores.metrics["num_images"] == NUM


def test_non_local_means_sees_the_colours_as_they_are() -> None:
    picture = np.random.default_rng(0).normal([200, 120, 40], 20, (32, 32, 3)).clip(0, 255).astype(np.uint8)
    expected = cv2.fastNlMeansDenoisingColored(np.ascontiguousarray(picture[:, :, ::-1]), None, SMOOTHING * 25.5, SMOOTHING * 25.5)
    assert np.array_equal(denoise(picture, 0.1), expected[:, :, ::-1])
