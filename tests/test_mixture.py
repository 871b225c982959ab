"""Mixtures of suites, and lost regions of any shape and content."""

import json

import pytest
import torch
from jsonargparse import ArgumentParser

from pellucid.degradations import DEGRADATIONS, SUITES, Mixture, Pipeline, Step
from pellucid.degradations.occlusion import CONTENTS, random_content, region_mask
from pellucid.errors import UserError
from pellucid.seeding import generator

NUM = 2000
CLEAN = torch.rand((NUM, 3, 8, 6), generator=generator("test mixture"))


def test_suites_are_drawn_by_their_weights() -> None:
    degraded, damage = Mixture({"none": 3, "reference": 1})(CLEAN, generator("damage"))
    damaged = ~damage.strengths["gaussian_noise"].isnan()
    assert damaged.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(damage.mask.flatten(1).any(dim=1), damaged)
    assert torch.equal((degraded != CLEAN).flatten(1).any(dim=1), damaged)
    assert (damage.strengths["occlusion"][damaged] == 8).all()


def test_a_weight_of_0_leaves_a_suite_out() -> None:
    degraded, _ = Mixture({"none": 1, "mixed": 0})(CLEAN, generator("damage"))
    assert torch.equal(degraded, CLEAN)


def test_everyday_is_half_reference_and_half_mixed() -> None:
    _, damage = SUITES["everyday"](CLEAN, generator("damage"))
    reference = damage.strengths["gaussian_noise"] == torch.tensor(0.05)
    assert reference.float().mean().item() == pytest.approx(0.5, abs=0.04)
    clean = torch.stack([strength.isnan() for strength in damage.strengths.values()]).all(dim=0)
    assert clean.float().mean().item() == pytest.approx(0.5 * 0.6**4 * 0.5, abs=0.015)
    assert SUITES["everyday"].kinds == ("gaussian_noise", "occlusion", "gaussian_blur", "low_resolution", "jpeg")


def test_mixtures_live_in_yaml() -> None:
    mixture = Mixture({"reference": 0.5, "none": 0.25})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--damage", type=str | Pipeline | Mixture, default="reference")
    config = parser.parse_string(json.dumps({"damage": {"weights": dict(mixture.weights)}}))
    again = parser.instantiate(parser.parse_string(parser.dump(config))).damage
    assert again == mixture
    assert hash(again) == hash(mixture)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({}, "found none"),
        ({"refrence": 1}, "Expected a mixture of suites out of none, reference, mixed, .*, found refrence"),
        ({"everyday": 1}, "found everyday"),
        ({"reference": -1}, "found -1 of reference"),
        ({"reference": 0}, "found 0 of reference"),
        ({"reference": float("nan")}, "found nan of reference"),
        ({"reference": float("inf")}, "found inf of reference"),
    ],
)
def test_what_a_mixture_refuses(weights: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Mixture(weights)


def test_a_region_has_the_area_of_its_square_unless_the_border_cuts_it() -> None:
    images, side = torch.zeros(1000, 3, 64, 64), torch.full((1000,), 12.0)
    mask = region_mask(images, side, generator("damage"))[:, 0]
    inside = ~(mask[:, [0, -1]].any(dim=(1, 2)) | mask[:, :, [0, -1]].any(dim=(1, 2)))
    assert inside.float().mean() > 0.4
    areas = mask[inside].sum(dim=(1, 2)).float()
    assert areas.mean().item() == pytest.approx(144, rel=0.03)
    assert (areas - 144).abs().quantile(0.9) < 30
    heights, widths = (mask[inside].any(dim=dim).sum(dim=1) for dim in (2, 1))
    assert (torch.maximum(heights, widths) > 24).float().mean() > 0.1  # strokes among them
    assert (heights > widths).float().mean().item() == pytest.approx(0.5, abs=0.12)


def test_every_content_is_shown() -> None:
    images = torch.rand((600, 3, 5, 5), generator=generator("contents"))
    shown = random_content(images, generator("damage"))
    flat = shown.flatten(2)
    constant = (flat == flat[:, :, :1]).all(dim=(1, 2))
    for value in (0.0, 1.0, 0.5):
        assert (shown == value).flatten(1).all(dim=1).float().mean().item() == pytest.approx(1 / len(CONTENTS), abs=0.06)
    assert constant.float().mean().item() == pytest.approx(4 / len(CONTENTS), abs=0.08)
    assert ((shown >= 0) & (shown <= 1)).all()


def test_squares_of_any_content_lie_where_the_grey_one_does() -> None:
    images = 0.25 + 0.5 * torch.rand((20, 3, 16, 16), generator=generator("squares"))
    grey, record = Pipeline((Step("occlusion", 6),))(images, generator("damage"))
    for content in CONTENTS:
        degraded, damage = Pipeline((Step(f"{content}_square", 6),))(images, generator("damage"))
        assert torch.equal(damage.mask, record.mask)
        assert torch.equal(degraded.masked_fill(record.mask, 0.5), grey)
        assert list(damage.strengths) == ["occlusion"]
        assert DEGRADATIONS[f"{content}_square"].kind == "occlusion"
