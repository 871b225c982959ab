"""Equation (1) and its parts."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pellucid.batch import Batch, Damage, Output
from pellucid.errors import UserError
from pellucid.objectives import ObjectiveConfig
from pellucid.objectives.joint import cross_entropy, damage_loss, joint_loss
from pellucid.objectives.restoration import RESTORATION_LOSSES


def a_batch(labels: list[int]) -> Batch:
    clean = torch.rand(len(labels), 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(len(labels), 1, 8, 8, dtype=torch.bool)
    return Batch(clean, clean * 0.5, torch.tensor(labels), Damage({}, mask))


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
    assert RESTORATION_LOSSES["psnr"](clean, clean, max_psnr=40.0).item() == pytest.approx(-4)
    near = (clean + 1e-3).requires_grad_()  # 60 dB: beyond the limit an error matters less, not more
    free, limited = (torch.autograd.grad(RESTORATION_LOSSES["psnr"](near, clean, limit).sum(), near)[0] for limit in (80.0, 40.0))
    assert 50 * limited.abs().max() < free.abs().max()
    assert RESTORATION_LOSSES["psnr"](clean + 0.1, clean).item() == pytest.approx(-20 / 10, abs=1e-4)


def test_losses_are_float32_under_bfloat16() -> None:
    batch = a_batch([0, 1])
    losses = joint_loss(Output(torch.randn(2, 4).bfloat16(), batch.degraded.bfloat16()), batch, ObjectiveConfig())
    assert losses.total.dtype == torch.float32


def test_the_teacher_s_pull_grows_with_the_training_and_ends_where_the_two_agree() -> None:
    batch = a_batch([0, -1, 2])
    logits, teacher = torch.randn(3, 4), torch.randn(3, 4)
    config = ObjectiveConfig(distillation=2.0)
    alone = joint_loss(Output(logits=logits), batch, config).total
    divergence = (teacher.softmax(1) * (teacher.softmax(1) / logits.softmax(1)).log()).sum(1).mean()
    for progress in (0.0, 0.5, 1.0):
        taught = joint_loss(Output(logits=logits), batch, config, teacher, progress)
        torch.testing.assert_close(taught.total - alone, 2.0 * progress * divergence)
    torch.testing.assert_close(joint_loss(Output(logits=logits), batch, config, logits + 1).total, alone)
    assert joint_loss(Output(restored=batch.degraded), batch, config, teacher).distillation is None


def test_the_damage_loss_by_hand() -> None:
    """Two kinds of damage: the first is on the first image only, in a tenth of the estimated strength."""
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[0, :, :4] = True
    strengths = {"noise": torch.tensor([0.1, math.nan]), "blur": torch.tensor([math.nan, math.nan])}
    batch = replace(a_batch([0, 1]), damage=Damage(strengths, mask))
    undecided = torch.zeros(2, 1, 8, 8)
    output = Output(presence=torch.zeros(2, 2), strength=torch.ones(2, 2), mask=undecided, restored=batch.degraded)
    assert damage_loss(output, batch).item() == pytest.approx(2 * math.log(2) + math.log(10))
    knowing = torch.tensor([[20.0, -20], [-20, -20]])
    perfect = output._replace(presence=knowing, strength=torch.full((2, 2), 0.1), mask=40 * mask.float() - 20)
    assert damage_loss(perfect, batch).item() == pytest.approx(0, abs=1e-6)
    config = ObjectiveConfig(damage_weight=0.3)
    rest = joint_loss(output._replace(presence=None), batch, config).total
    torch.testing.assert_close(joint_loss(output, batch, config).total, rest + 0.3 * damage_loss(output, batch))


def test_an_image_that_nothing_was_done_to_has_a_finite_damage_loss() -> None:
    batch = replace(a_batch([0]), damage=Damage({"noise": torch.tensor([math.nan])}, torch.zeros(1, 1, 8, 8, dtype=torch.bool)))
    output = Output(presence=torch.zeros(1, 1), strength=torch.ones(1, 1, requires_grad=True), mask=torch.zeros(1, 1, 8, 8))
    loss = damage_loss(output, batch)
    loss.backward()
    assert loss.item() == pytest.approx(2 * math.log(2))
    assert output.strength.grad == 0


@pytest.mark.parametrize(
    "settings",
    [{"weight": -1.0}, {"weight": math.nan}, {"label_smoothing": 1.0}, {"distillation": -1.0}, {"damage_weight": math.nan}],
)
def test_settings_without_a_meaning_are_refused(settings: dict) -> None:
    with pytest.raises(UserError):
        ObjectiveConfig(**settings)
