"""Pipelines do what they record and record what they do."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Generator, Tensor

from pellucid.degradations import DEGRADATIONS, FILL, SUITES, Degradation, Mixture, Pipeline, Step
from pellucid.degradations.blur import gaussian_blur
from pellucid.errors import UserError
from pellucid.seeding import generator

NUM = 2000
CLEAN = torch.rand((NUM, 3, 6, 5), generator=generator("test pipeline"))
SEVERAL = (Step("gaussian_noise", 0.1, 0.2, probability=0.7), Step("gaussian_blur", 0.5, 2, probability=0.2), Step("occlusion", 2, 4))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Step("gausian_noise", 0.1), "Expected a degradation out of gaussian_noise, .*, found 'gausian_noise'; correct"),
        (
            lambda: Step("gaussian_noise", -0.1),
            "Expected strengths of gaussian_noise with 0 <= low .* found low -0.1 and high -0.1; correct",
        ),
        (lambda: Step("gaussian_noise", 0.2, 0.1), "found low 0.2 and high 0.1"),
        (lambda: Step("gaussian_noise", math.nan), "found low nan"),
        (lambda: Step("jpeg", 0), "Expected strengths of jpeg with 1 <= low <= high <= 100 .quality of libjpeg., found low 0"),
        (lambda: Step("low_resolution", 0.5), "1 <= low"),
        (lambda: Step("occlusion", 8, probability=1.5), r"Expected probability in \[0, 1\], found 1.5"),
        (lambda: Step("occlusion", 8, probability=math.nan), "found nan"),
        (
            lambda: Pipeline((Step("jpeg", 10), Step("jpeg", 20))),
            "Expected every kind of degradation once at most, found jpeg, jpeg; widen",
        ),
        (lambda: Step("gaussian_noise", "a lot"), "Expected low as a number, found 'a lot'"),
        (lambda: Step("occlusion", 8, relative=1), "Expected relative as true or false, found 1"),
        (lambda: Pipeline(("jpeg",)), "Expected steps as a list, settings by their names for each, found .'jpeg',."),
        (lambda: Pipeline((Step("jpeg", 10),), at_most=0), "Expected at_most of at least 1, found 0"),
    ],
)
def test_what_a_pipeline_refuses(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()


def test_pipelines_are_values() -> None:
    again = Pipeline((Step("gaussian_noise", 0.05), Step("occlusion", 8)))
    assert again == SUITES["reference"]
    assert hash(again) == hash(SUITES["reference"])
    assert again != Pipeline(tuple(reversed(again.steps)))


@pytest.mark.parametrize("pipeline", SUITES.values(), ids=SUITES)
def test_pipelines_live_in_yaml(pipeline: Pipeline) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--damage", type=str | Pipeline | Mixture, default="reference")
    config = parser.parse_string(json.dumps({"damage": asdict(pipeline)}))
    again = parser.parse_string(parser.dump(config))
    assert parser.instantiate(again).damage == pipeline


@pytest.mark.parametrize("pipeline", SUITES.values(), ids=SUITES)
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (5, 3, 1, 1), (7, 3, 33, 20)], ids=str)
def test_every_suite(pipeline: Pipeline, shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=generator("test suites"))
    before = images.clone()
    degraded, damage = pipeline(images, generator("damage"))
    again, _ = pipeline(images, generator("damage"))
    assert torch.equal(images, before)
    assert degraded.shape == shape
    assert ((degraded >= 0) & (degraded <= 1)).all()
    assert torch.equal(degraded, again)
    assert damage.mask.shape == (shape[0], 1, *shape[2:])
    assert damage.mask.dtype == torch.bool
    assert list(damage.strengths) == list(pipeline.kinds)
    assert all(strength.shape == shape[:1] for strength in damage.strengths.values())


def test_the_reference_damage() -> None:
    clean = torch.full((200, 3, 32, 32), 0.3)
    degraded, damage = SUITES["reference"](clean, generator("damage"))
    mask = damage.mask.expand_as(degraded)
    assert (damage.mask.sum(dim=(1, 2, 3)) == 64).all()
    assert (degraded[mask] == FILL).all()  # the square comes after the noise
    assert (degraded[~mask] - 0.3).std().item() == pytest.approx(0.05, rel=0.01)
    assert (damage.strengths["gaussian_noise"] == torch.tensor(0.05)).all()
    assert (damage.strengths["occlusion"] == 8).all()


def test_the_order_is_that_of_the_steps() -> None:
    degraded, damage = Pipeline((Step("occlusion", 8), Step("gaussian_noise", 0.05)))(torch.zeros(20, 3, 32, 32), generator("damage"))
    assert degraded[damage.mask.expand_as(degraded)].std().item() == pytest.approx(0.05, rel=0.05)


def test_a_pipeline_of_one_step_is_its_function() -> None:
    degraded, _ = Pipeline((Step("gaussian_blur", 1.2),))(CLEAN, generator("damage"))
    assert torch.equal(degraded, gaussian_blur(CLEAN, torch.full((NUM,), 1.2), generator("unused")))


def test_strengths_are_uniform_in_their_range() -> None:
    _, damage = Pipeline((Step("gaussian_noise", 0.1, 0.3),))(CLEAN, generator("damage"))
    drawn = damage.strengths["gaussian_noise"]
    assert 0.1 <= drawn.min() < 0.101
    assert 0.299 < drawn.max() <= 0.3
    quarters = ((drawn - 0.1) / 0.05).long().clamp(max=3).bincount() / NUM
    torch.testing.assert_close(quarters, torch.full((4,), 0.25), rtol=0, atol=0.04)


def test_steps_are_drawn_with_their_probabilities_independently() -> None:
    _, damage = Pipeline(SEVERAL)(CLEAN, generator("damage"))
    noise, blur, mask = (~strength.isnan() for strength in damage.strengths.values())
    assert noise.float().mean().item() == pytest.approx(0.7, abs=0.04)
    assert blur.float().mean().item() == pytest.approx(0.2, abs=0.04)
    assert (noise & blur).float().mean().item() == pytest.approx(0.14, abs=0.03)
    assert mask.all()


def test_only_images_that_a_step_applies_to_are_touched() -> None:
    steps = (Step("gaussian_noise", 0.1, probability=0.5), Step("occlusion", 2, probability=0.5))
    degraded, damage = Pipeline(steps)(CLEAN, generator("damage"))
    noise, occlusion = (~strength.isnan() for strength in damage.strengths.values())
    changed = (degraded != CLEAN).flatten(1).any(dim=1)
    assert torch.equal(changed, noise | occlusion)
    assert torch.equal(damage.mask.flatten(1).any(dim=1), occlusion)
    only_mask = (degraded != CLEAN)[occlusion & ~noise].any(dim=1, keepdim=True)
    assert torch.equal(only_mask, damage.mask[occlusion & ~noise])


@pytest.mark.parametrize("at_most", [1, 2, 3, 7])
def test_at_most(at_most: int) -> None:
    always = tuple(Step(name, 1) for name in ("gaussian_blur", "low_resolution", "occlusion"))
    _, damage = Pipeline(always, at_most=at_most)(CLEAN, generator("damage"))
    kept = torch.stack([~strength.isnan() for strength in damage.strengths.values()])
    assert (kept.sum(dim=0) == min(at_most, 3)).all()
    torch.testing.assert_close(kept.float().mean(dim=1), torch.full((3,), min(at_most, 3) / 3), rtol=0, atol=0.04)


def test_at_most_chooses_among_the_drawn() -> None:
    steps = (Step("gaussian_noise", 0.1, probability=0), Step("occlusion", 2), Step("gaussian_blur", 1, probability=0))
    _, damage = Pipeline(steps, at_most=1)(CLEAN, generator("damage"))
    assert damage.strengths["gaussian_noise"].isnan().all()
    assert damage.strengths["gaussian_blur"].isnan().all()
    assert (damage.strengths["occlusion"] == 2).all()


def test_mixed_leaves_some_images_clean() -> None:
    _, damage = SUITES["mixed"](CLEAN, generator("damage"))
    applied = torch.stack([~strength.isnan() for strength in damage.strengths.values()]).sum(dim=0)
    assert applied.max() == 2
    assert (applied == 0).float().mean().item() == pytest.approx(0.6**4 * 0.5, abs=0.02)


def test_a_new_row_is_all_that_a_degradation_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_columns(images: Tensor, width: Tensor, _: Generator) -> Tensor:
        return (torch.arange(images.shape[3]) < width.view(-1, 1, 1, 1)).expand(len(images), 1, *images.shape[2:])

    def torn(images: Tensor, width: Tensor, unused: Generator) -> Tensor:
        return images.masked_fill(first_columns(images, width, unused), FILL)

    monkeypatch.setitem(DEGRADATIONS, "tear", Degradation(torn, "width in pixels", (0, 100), (1, 2), "this test", mask=first_columns))
    steps = (Step("tear", 2, probability=0.5), Step("occlusion", 2))
    for ordered in (steps, steps[::-1]):
        degraded, damage = Pipeline(ordered)(CLEAN, generator("damage"))
        is_torn = ~damage.strengths["tear"].isnan()
        assert damage.mask[is_torn][..., :2].all()
        areas = damage.mask.sum(dim=(1, 2, 3))
        assert (areas[~is_torn] == 4).all()
        assert ((areas[is_torn] >= 12) & (areas[is_torn] <= 16)).all()  # the union of both
        assert (areas[is_torn] == 16).any()
        assert (degraded[damage.mask.expand_as(degraded)] == FILL).all()


@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_the_record_holds_the_strength_that_was_applied(probability: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def paint(images: Tensor, value: Tensor, _: Generator) -> Tensor:
        return value.view(-1, 1, 1, 1).expand_as(images)

    monkeypatch.setitem(DEGRADATIONS, "paint", Degradation(paint, "value", (0, 1), (0, 1), "this test"))
    degraded, damage = Pipeline((Step("paint", 0, 1, probability=probability),))(CLEAN, generator("damage"))
    value = damage.strengths["paint"].view(-1, 1, 1, 1)
    assert torch.equal(degraded, torch.where(value.isnan(), CLEAN, value))
