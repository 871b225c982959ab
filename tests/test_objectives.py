"""Equation (1) and its parts."""

import math

import pytest
import torch
import torch.nn.functional as F

from pellucid.batch import Batch, Damage, Output
from pellucid.errors import UserError
from pellucid.objectives import ObjectiveConfig
from pellucid.objectives.joint import RESTORATION_LOSSES, cross_entropy, joint_loss


def a_batch(labels: list[int]) -> Batch:
    clean = torch.rand(len(labels), 3, 8, 8, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(len(labels), 1, 8, 8, dtype=torch.bool)
    return Batch(clean, clean * 0.5, torch.tensor(labels), Damage({}, hole))


def test_the_joint_loss_is_equation_1() -> None:
    batch = a_batch([0, 1, 2])
    output = Output(torch.randn(3, 4), batch.degraded)
    losses = joint_loss(output, batch, ObjectiveConfig(weight=0.1, restoration="l1"))
    expected = F.cross_entropy(output.logits, batch.labels) + 0.1 * F.l1_loss(batch.degraded, batch.clean)
    torch.testing.assert_close(losses.total, expected)


def test_single_task_arms_leave_the_other_term_out() -> None:
    batch = a_batch([0, 1])
    logits = torch.randn(2, 4)
    classify = joint_loss(Output(logits=logits), batch, ObjectiveConfig())
    restore = joint_loss(Output(restored=batch.degraded), batch, ObjectiveConfig(weight=2.0))
    assert classify.restoration is None
    assert restore.classification is None
    torch.testing.assert_close(classify.total, F.cross_entropy(logits, batch.labels))
    torch.testing.assert_close(restore.total, 2 * F.l1_loss(batch.degraded, batch.clean))


def test_unlabelled_images_train_the_restoration_alone() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    cross_entropy(logits, torch.tensor([-1, 2, -1])).backward()
    assert logits.grad[[0, 2]].abs().sum() == 0
    assert logits.grad[1].abs().sum() > 0
    assert cross_entropy(logits, torch.tensor([-1, -1, -1])) == 0


@pytest.mark.parametrize("loss", RESTORATION_LOSSES.values(), ids=RESTORATION_LOSSES)
def test_restoration_losses_are_least_at_the_clean_image(loss) -> None:
    clean = torch.rand(3, 3, 8, 8)
    near, far = clean + 0.01, clean + 0.1
    assert loss(clean, clean).shape == (3,)
    assert (loss(clean, clean) < loss(near, clean)).all()
    assert (loss(near, clean) < loss(far, clean)).all()


def test_the_psnr_loss_is_psnr() -> None:
    clean = torch.zeros(1, 3, 8, 8)
    assert RESTORATION_LOSSES["psnr"](clean + 0.1, clean).item() == pytest.approx(-20 / 10, abs=1e-4)


def test_losses_are_float32_under_bfloat16() -> None:
    batch = a_batch([0, 1])
    losses = joint_loss(Output(torch.randn(2, 4).bfloat16(), batch.degraded.bfloat16()), batch, ObjectiveConfig())
    assert losses.total.dtype == torch.float32


@pytest.mark.parametrize("settings", [{"weight": -1.0}, {"weight": math.nan}, {"label_smoothing": 1.0}])
def test_settings_without_a_meaning_are_refused(settings: dict) -> None:
    with pytest.raises(UserError):
        ObjectiveConfig(**settings)
