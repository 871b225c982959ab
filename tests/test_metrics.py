"""Metrics against scikit-image, and against what follows from their definition."""

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from skimage import metrics as skimage_metrics
from torch import Tensor

from pellucid.batch import Batch, Damage, Output
from pellucid.metrics import MAX_PSNR, PER_IMAGE, Metrics, psnr_of, ssim_of
from pellucid.metrics.figures import calibration_error
from pellucid.seeding import generator

scikit_image: Any = skimage_metrics  # which has no types


def some_images(num: int, height: int = 32, width: int = 32, name: str = "clean") -> Tensor:
    """Noise over a gradient, so that structure and contrast both vary."""
    noise = torch.rand((num, 3, height, width), generator=generator("test metrics", name))
    return 0.6 * torch.linspace(0, 1, width) + 0.4 * noise


def noisy(images: Tensor, sigma: float) -> Tensor:
    return images + sigma * torch.randn(images.shape, generator=generator("test metrics", "noise"))


def make_batch(num: int = 12, size: int = 32) -> Batch:
    clean = some_images(num, size, size)
    mask = torch.zeros(num, 1, size, size, dtype=torch.bool)
    mask[: num // 2, :, 2:6, 3:7] = True
    degraded = noisy(clean, 0.1).clamp(0, 1).masked_fill(mask, 0.5)
    return Batch(clean, degraded, torch.arange(num) % 3, Damage({}, mask))


def make_output(batch: Batch) -> Output:
    logits = 2 * torch.randn((len(batch), 3), generator=generator("test metrics", "logits"))
    return Output(logits, noisy(batch.clean, 0.05))


def compute(output: Output, batch: Batch, damages: tuple[str, ...] = ()) -> dict[str, float | None]:
    metrics = Metrics(damages)
    metrics.update(output, batch)
    return metrics.compute()


@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (17, 40)])
def test_psnr_is_scikit_images(shape: tuple[int, int]) -> None:
    clean = some_images(5, *shape)
    images = noisy(clean, 0.08).clamp(0, 1)
    expected = [scikit_image.peak_signal_noise_ratio(c.numpy(), x.numpy(), data_range=1) for c, x in zip(clean, images, strict=True)]
    assert psnr_of(images, clean).tolist() == pytest.approx(expected, abs=1e-4)


def test_psnr_of_a_known_error() -> None:
    clean = torch.full((3, 3, 8, 8), 0.5)
    images = clean + torch.tensor([0.1, 0.01, 0.0]).view(-1, 1, 1, 1)
    assert psnr_of(images, clean).tolist() == pytest.approx([20, 40, MAX_PSNR], abs=1e-3)


def test_psnr_of_some_pixels() -> None:
    batch = make_batch()
    images = noisy(batch.clean, 0.05)
    mask = batch.damage.mask
    inside, outside = psnr_of(images, batch.clean, mask), psnr_of(images, batch.clean, ~mask)
    for index in range(len(batch)):
        error = (images.clamp(0, 1) - batch.clean)[index].square()
        where = mask[index].expand(3, -1, -1)
        assert outside[index].item() == pytest.approx(-10 * math.log10(error[~where].mean().item()), abs=1e-4)
        if where.any():
            assert inside[index].item() == pytest.approx(-10 * math.log10(error[where].mean().item()), abs=1e-4)
        else:
            assert inside[index].isnan()


@pytest.mark.parametrize("shape", [(32, 32), (11, 11), (23, 40)])
@pytest.mark.parametrize("sigma", [0.02, 0.3])
def test_ssim_is_scikit_images(shape: tuple[int, int], sigma: float) -> None:
    clean = some_images(4, *shape)
    images = noisy(clean, sigma).clamp(0, 1)
    expected = [
        scikit_image.structural_similarity(
            c.double().numpy(), x.double().numpy(),
            win_size=11, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for c, x in zip(clean, images, strict=True)
    ]  # fmt: skip
    assert ssim_of(images, clean).tolist() == pytest.approx(expected, abs=1e-5)


def test_ssim_of_equal_constant_and_small_images() -> None:
    clean = some_images(2)
    torch.testing.assert_close(ssim_of(clean, clean), torch.ones(2))
    flat = torch.full((1, 3, 16, 16), 0.5)
    assert ssim_of(flat, flat).item() == pytest.approx(1)
    assert ssim_of(clean[..., :10], clean[..., :10]).isnan().all()


def test_ssim_keeps_its_precision_under_autocast() -> None:
    clean = some_images(3)
    images = noisy(clean, 0.05)
    expected = ssim_of(images, clean)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ssim_of(images, clean), expected)


def test_means() -> None:
    batch = make_batch()
    output = make_output(batch)
    scores = compute(output, batch)
    assert output.restored is not None
    assert output.logits is not None
    assert scores["num_images"] == 12
    assert scores["psnr"] == pytest.approx(psnr_of(output.restored, batch.clean).mean().item())
    assert scores["input_psnr"] == pytest.approx(psnr_of(batch.degraded, batch.clean).mean().item())
    assert scores["mask_psnr"] == pytest.approx(psnr_of(output.restored[:6], batch.clean[:6], batch.damage.mask[:6]).mean().item())
    assert scores["ssim"] == pytest.approx(ssim_of(output.restored, batch.clean).mean().item())
    assert scores["accuracy"] == pytest.approx(100 * (output.logits.argmax(1) == batch.labels).float().mean().item())


@pytest.mark.parametrize("spread", [0.1, 2.0])
def test_calibration_error_is_as_defined(spread: float) -> None:
    batch = make_batch(300, 12)
    logits = spread * torch.randn((300, 3), generator=generator("test metrics", "logits"))
    confidence, predicted = (each.numpy() for each in logits.softmax(dim=1).max(dim=1))
    right = predicted == batch.labels.numpy()
    expected = sum(
        inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
        for low, high in pairwise(np.linspace(0, 1, 16))
        if (inside := (confidence >= low) & (confidence < high)).any()
    )
    assert compute(Output(logits=logits), batch)["ece"] == pytest.approx(expected, abs=1e-6)


def test_calibration_error_by_hand() -> None:
    batch = make_batch(8, 12)
    sure = torch.tensor([[9.0, 0, 0]] * 8).log_softmax(dim=1)
    scores = compute(Output(logits=sure), batch)  # labels 0 1 2 0 1 2 0 1: three right, all with the same confidence
    assert scores["accuracy"] == pytest.approx(37.5)
    assert scores["ece"] == pytest.approx(sure.exp()[0, 0].item() - 0.375, abs=1e-6)


def test_a_confidence_of_one_is_in_the_last_of_the_bins() -> None:
    confidence = torch.tensor([1.0] * 10 + [0.95] * 10)
    correct = torch.tensor([0.0] + [1.0] * 19)
    assert calibration_error({"correct": correct, "confidence": confidence}) == pytest.approx(0.975 - 0.95, abs=1e-6)


def test_unlabelled_images_count_for_the_restoration_only() -> None:
    batch = make_batch()
    output = make_output(batch)
    assert output.logits is not None
    labels = batch.labels.clone()
    labels[4:] = -1
    scores = compute(output, Batch(batch.clean, batch.degraded, labels, batch.damage))
    labelled = compute(Output(output.logits[:4]), Batch(batch.clean[:4], batch.degraded[:4], labels[:4], Damage({}, batch.damage.mask[:4])))
    assert (scores["accuracy"], scores["ece"]) == (labelled["accuracy"], labelled["ece"])
    assert scores["psnr"] == compute(output, batch)["psnr"]
    none = compute(output, Batch(batch.clean, batch.degraded, torch.full_like(labels, -1), batch.damage))
    assert none["accuracy"] is None
    assert none["ece"] is None


def test_what_an_arm_does_not_answer_is_none() -> None:
    batch = make_batch()
    output = make_output(batch)
    of_damage = {"damage_correct", "strength_error", "mask_iou"}
    classify, restore = compute(Output(logits=output.logits), batch), compute(Output(restored=output.restored), batch)
    assert {name for name, figure in classify.items() if figure is None} == {"psnr", "ssim", "mask_psnr", *of_damage}
    assert {name for name, figure in restore.items() if figure is None} == {"accuracy", "ece", *of_damage}
    assert {name for name, figure in Metrics().compute().items() if figure is None} == set(restore) - {"num_images", "broken"}


def test_predictions_are_clamped_and_widened_first() -> None:
    batch = make_batch()
    restored = batch.clean + 2 * (batch.clean - 0.5)
    beyond, within = compute(Output(restored=restored), batch), compute(Output(restored=restored.clamp(0, 1)), batch)
    assert beyond == within
    half = compute(Output(make_output(batch).logits, batch.degraded.bfloat16()), batch)
    assert half["psnr"] == pytest.approx(compute(Output(restored=batch.degraded.bfloat16().float()), batch)["psnr"])


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_batches_do_not_matter(batch_size: int) -> None:
    batch = make_batch()
    output = make_output(batch)
    assert output.logits is not None
    assert output.restored is not None
    metrics = Metrics()
    for start in range(0, 12, batch_size):
        part = slice(start, start + batch_size)
        mask = Damage({}, batch.damage.mask[part])
        metrics.update(
            Output(output.logits[part], output.restored[part]), Batch(batch.clean[part], batch.degraded[part], batch.labels[part], mask)
        )
    assert metrics.compute() == pytest.approx(compute(output, batch), abs=1e-6)


def test_per_image() -> None:
    batch = make_batch()
    output = make_output(batch)
    metrics = Metrics()
    metrics.update(output, batch)
    columns = metrics.per_image()
    assert output.logits is not None
    assert set(columns) == set(PER_IMAGE) - {"damage_correct", "strength_error", "mask_iou"}
    assert all(column.shape == (12,) and column.dtype == torch.float32 for column in columns.values())
    assert columns["predicted"].tolist() == output.logits.argmax(dim=1).tolist()
    assert torch.equal(columns["correct"].bool(), output.logits.argmax(dim=1) == batch.labels)
    torch.testing.assert_close(columns["confidence"], output.logits.softmax(dim=1).amax(dim=1))


def test_figures_are_valid_json_even_for_equal_images() -> None:
    batch = make_batch()
    same = Batch(batch.clean, batch.clean, batch.labels, Damage({}, torch.zeros_like(batch.damage.mask)))
    scores = compute(Output(restored=batch.clean), same)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert scores["psnr"] == scores["input_psnr"] == MAX_PSNR
    assert scores["mask_psnr"] is None


NAN = torch.nan
KINDS = ("noise", "blur", "jpeg")


def damaged(strengths: dict[str, list[float]], mask: Tensor | None = None) -> Batch:
    num = len(next(iter(strengths.values())))
    images = some_images(num, 12, 12)
    mask = torch.zeros(num, 1, 12, 12, dtype=torch.bool) if mask is None else mask
    record = {name: torch.tensor(values) for name, values in strengths.items()}
    return Batch(images, images, torch.zeros(num, dtype=torch.int64), Damage(record, mask))


def found(presence: list[list[float]], strength: list[list[float]]) -> Output:
    return Output(presence=torch.tensor(presence), strength=torch.tensor(strength))


def columns_of(output: Output, batch: Batch, damages: tuple[str, ...]) -> dict[str, list[float]]:
    metrics = Metrics(damages)
    metrics.update(output, batch)
    return {name: column.tolist() for name, column in metrics.per_image().items()}


def test_damage_by_hand() -> None:
    batch = damaged({"noise": [0.1, 0.1, NAN, NAN], "blur": [NAN, 2.0, 2.0, NAN], "jpeg": [NAN, NAN, NAN, NAN]})
    output = found(
        [[9, -9, -9], [9, -9, -9], [-9, 9, -9], [-9, -9, 0.1]],
        [[0.2, 99, 99], [0.08, 1, 99], [99, 2, 99], [99, 99, 99]],
    )
    columns = columns_of(output, batch, KINDS)
    assert columns["damage_correct"] == [1, 0, 1, 0]
    assert columns["strength_error"] == pytest.approx([1, (0.2 + 0.5) / 2, 0, NAN], nan_ok=True)
    scores = compute(output, batch, KINDS)
    assert scores["damage_correct"] == 50
    assert scores["strength_error"] == pytest.approx((1 + 0.35 + 0) / 3)
    assert scores["mask_iou"] is None


def test_kinds_go_by_their_names() -> None:
    """A batch has its kinds in another order, one that the model wasn't trained on, and lacks one that it was."""
    batch = damaged({"rain": [5.0, NAN], "blur": [2.0, NAN], "noise": [0.1, 0.2]})
    output = found([[9, 9, -9], [9, -9, 9]], [[0.1, 1, 99], [0.3, 99, 99]])
    columns = columns_of(output, batch, KINDS)
    assert columns["damage_correct"] == [1, 0]  # there is no jpeg in the second
    assert columns["strength_error"] == pytest.approx([0.25, 0.5])
    assert columns_of(output, batch, ("blur", "noise", "jpeg"))["damage_correct"] == [1, 0]
    assert columns_of(output, batch, ("blur", "noise", "jpeg"))["strength_error"] != pytest.approx([0.25, 0.5])


def test_clean_images_have_no_damage_to_find() -> None:
    batch = damaged({"rain": [1.0, NAN]})
    columns = columns_of(found([[-9, -9], [-9, 9]], [[1, 1], [1, 1]]), batch, KINDS[:2])
    assert columns["damage_correct"] == [1, 0]
    assert all(math.isnan(error) for error in columns["strength_error"])
    assert compute(found([[-9.0, -9], [-9, 9]], [[1, 1], [1, 1]]), batch, KINDS[:2])["strength_error"] is None


def test_a_strength_of_zero_has_no_relative_error() -> None:
    batch = damaged({"noise": [0.0, 0.0], "blur": [NAN, 2.0]})
    columns = columns_of(found([[9, -9], [9, 9]], [[0.1, 9], [0.1, 1]]), batch, KINDS[:2])
    assert columns["strength_error"] == pytest.approx([NAN, 0.5], nan_ok=True)


def test_mask_iou_by_hand() -> None:
    true = torch.zeros(5, 1, 12, 12, dtype=torch.bool)
    true[:3, :, 2:6, 2:6] = True
    printed = torch.full((5, 1, 12, 12), -3.0)
    printed[0, :, 2:6, 2:6] = 3  # the very mask
    printed[1, :, 4:8, 2:6] = 3  # half of it, and as much beside it
    printed[3, :, 0, 0] = 3  # a mask where there is none
    batch = damaged({"noise": [0.1] * 5}, true)
    columns = columns_of(Output(mask=printed), batch, ())
    assert columns["mask_iou"] == pytest.approx([1, 8 / 24, 0, 0, NAN], nan_ok=True)
    assert compute(Output(mask=printed), batch)["mask_iou"] == pytest.approx(1 / 3)


def test_kinds_without_names_are_not_measured_and_wrong_names_are_refused() -> None:
    batch, output = damaged({"noise": [0.1]}), found([[9, 9]], [[0.1, 1]])
    assert compute(output, batch)["damage_correct"] is None
    assert compute(output, batch)["strength_error"] is None
    with pytest.raises(ValueError, match="Expected an output for the damages noise, blur, jpeg, found one for 2"):
        compute(output, batch, KINDS)
    assert compute(Output(restored=batch.clean), batch, KINDS)["damage_correct"] is None


def test_the_damage_of_half_precision_is_measured_in_full() -> None:
    batch = damaged({"noise": [0.1]})
    output = Output(presence=torch.ones(1, 1).bfloat16(), strength=torch.full((1, 1), 0.15).bfloat16())
    error = compute(output, batch, ("noise",))["strength_error"]
    assert error == pytest.approx(torch.tensor(0.15).bfloat16().item() / 0.1 - 1, abs=1e-5)


def test_undamaged_images_are_kept_apart_from_the_damaged_ones() -> None:
    """The 100 dB of the undamaged input would make any restorer look harmful."""
    clean = some_images(4)
    degraded = torch.cat([clean[:1], noisy(clean[1:], 0.1)])
    batch = Batch(
        clean, degraded, torch.zeros(4, dtype=torch.long), Damage({"noise": torch.tensor([NAN, 0.1, 0.1, 0.1])}, clean[:, :1] < 0)
    )
    metrics = Metrics()
    metrics.update(Output(restored=noisy(clean, 0.05)), batch)
    kinds, whole = metrics.compute_by_kind(), metrics.compute()
    assert {kind: scores["num_images"] for kind, scores in kinds.items()} == {"clean": 1, "damaged": 3, "noise": 3}
    assert kinds["damaged"]["psnr"] > kinds["damaged"]["input_psnr"]  # type: ignore[operator]
    assert whole["psnr"] < whole["input_psnr"]  # type: ignore[operator]
