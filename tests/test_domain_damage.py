"""Damage of the domains: its physics, and the shapes that it documents."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.degradations import DEGRADATIONS, SUITES, Pipeline, Step
from pellucid.degradations.convolution import FOURIER_SIDE, convolve, pad_border
from pellucid.degradations.exposure import READ_NOISE
from pellucid.degradations.noise import OPACITY
from pellucid.degradations.wear import scratch_mask, tear_mask
from pellucid.errors import UserError
from pellucid.seeding import generator


def damaged(name: str, images: Tensor, strength: float) -> Tensor:
    return DEGRADATIONS[name].function(images, torch.full((len(images),), strength), generator("damage", name))


def flat(value: float, num: int = 4, side: int = 64) -> Tensor:
    return torch.full((num, 3, side, side), value)


def test_poisson_noise_has_the_variance_of_counts() -> None:
    for value in (0.2, 0.6):
        noisy = damaged("poisson_noise", flat(value), 100)
        assert noisy.mean().item() == pytest.approx(value, rel=0.01)
        assert noisy.var().item() == pytest.approx(value / 100, rel=0.03)
        torch.testing.assert_close(noisy * 100, (noisy * 100).round(), rtol=0, atol=1e-4)


def test_impulses_are_salt_and_pepper_in_equal_parts() -> None:
    noisy = damaged("impulse_noise", flat(0.5), 0.2)
    assert [(noisy == value).float().mean().item() for value in (0, 0.5, 1)] == pytest.approx([0.1, 0.8, 0.1], abs=0.01)


def test_rician_noise_lifts_the_dark_and_keeps_grey_grey() -> None:
    dark, bright = (damaged("rician_noise", flat(value), 0.05) for value in (0.0, 0.5))
    assert dark.mean().item() == pytest.approx(0.05 * math.sqrt(math.pi / 2), rel=0.01)  # a Rayleigh distribution
    assert bright.std().item() == pytest.approx(0.05, rel=0.02)
    assert torch.equal(dark[:, 0], dark[:, 2])


def test_a_low_dose_is_noisiest_where_the_body_is_densest() -> None:
    for value in (0.1, 0.6):
        noisy = damaged("low_dose", flat(value), 5000)
        counts = 5000 * math.exp(-OPACITY * value)
        assert noisy.std().item() == pytest.approx(1 / (OPACITY * math.sqrt(counts)), rel=0.05)
        assert noisy.mean().item() == pytest.approx(value, abs=0.01)
        assert torch.equal(noisy[:, 0], noisy[:, 1])


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur"])
@pytest.mark.parametrize("strength", [1.5, 9.0, 40.0])
def test_blur_keeps_flat_images_and_the_light_of_a_point(name: str, strength: float) -> None:
    torch.testing.assert_close(damaged(name, flat(0.7), strength), flat(0.7), rtol=0, atol=1e-5)
    point = torch.zeros(4, 3, 101, 101)
    point[..., 50, 50] = 1
    blurred = damaged(name, point, strength)
    torch.testing.assert_close(blurred.sum(dim=(2, 3)), torch.ones(4, 3), rtol=0, atol=1e-3)
    rows, columns = (blurred[:, 0].sum(dim=dim).gt(1e-4).sum(dim=1) for dim in (2, 1))
    extent = torch.maximum(rows, columns).float()
    expected = 2 * strength + 1 if name == "defocus_blur" else strength
    assert (extent <= expected + 2.5).all()
    assert (extent >= 0.65 * expected - 1).all()  # a line in a diagonal spans fewer rows


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur", "fog", "fading", "scratches", "tears", "stains", "rain"])
def test_no_strength_no_damage(name: str) -> None:
    images = torch.rand((3, 3, 20, 17), generator=generator("images"))
    torch.testing.assert_close(damaged(name, images, 0.0), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("border", ["reflect", "replicate"])
@pytest.mark.parametrize(("side", "shape"), [(3, (9, 14)), (FOURIER_SIDE - 2, (30, 9)), (FOURIER_SIDE, (30, 9)), (41, (8, 50))])
def test_convolution_is_opencvs(border: str, side: int, shape: tuple[int, int]) -> None:
    random = generator("kernel")
    images, kernels = torch.rand((2, 3, *shape), generator=random), torch.rand((2, side, side), generator=random) / side**2
    result = convolve(images, kernels, border)
    borders = {"reflect": cv2.BORDER_REFLECT_101, "replicate": cv2.BORDER_REPLICATE}
    for image, kernel, expected in zip(images, kernels, result, strict=True):
        wide = cv2.copyMakeBorder(image.permute(1, 2, 0).double().numpy(), *[side // 2] * 4, borders[border])
        np.testing.assert_array_equal(pad_border(image[None], side // 2, border)[0].permute(1, 2, 0), wide.astype(np.float32))
        reference = cv2.filter2D(wide, -1, kernel.double().numpy())[side // 2 : side // 2 + shape[0], side // 2 : side // 2 + shape[1]]
        np.testing.assert_allclose(expected.permute(1, 2, 0), reference, atol=1e-5)


def test_fog_is_denser_far_away_and_hides_all_in_the_end() -> None:
    images = torch.zeros(16, 3, 32, 32)
    foggy = damaged("fog", images, 1.0).mean(dim=(0, 1, 3))
    assert foggy[:8].mean() > 1.5 * foggy[-8:].mean()
    thick = damaged("fog", torch.rand((4, 3, 32, 32), generator=generator("images")), 20.0)
    assert thick.flatten(2).std(dim=2).max() < 0.05


def test_rain_falls_in_upright_streaks() -> None:
    rainy = damaged("rain", flat(0.2, side=96), 0.1)
    streaks = (rainy > 0.35).float()
    assert streaks.mean().item() == pytest.approx(0.1, abs=0.06)
    down, across = rainy.diff(dim=2).abs().mean(), rainy.diff(dim=3).abs().mean()
    assert across > 1.5 * down


def test_stops_halve_and_double_the_light() -> None:
    dark = damaged("low_light", flat(0.8), 2.0)
    light = dark.square()
    assert light.mean().item() == pytest.approx(0.64 / 4, rel=0.01)
    assert light.std().item() == pytest.approx(math.sqrt(0.16 / 1000 + READ_NOISE**2), rel=0.05)
    bright = damaged("over_exposure", torch.tensor([0.1, 0.4, 0.9]).view(1, 3, 1, 1).expand(1, 3, 2, 2), 2.0)
    assert bright[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.8, 1.0])


def test_video_compression_keeps_blocks_and_loses_detail() -> None:
    images = torch.rand((2, 3, 33, 47), generator=generator("images"))
    fine = damaged("video_compression", images, 0.0)
    grey = images.mean(dim=1, keepdim=True).expand_as(images)
    torch.testing.assert_close(damaged("video_compression", grey, 0.0), grey, rtol=0, atol=0.01)
    coarse = damaged("video_compression", images, 51.0)
    assert (fine - images).abs().mean() < (coarse - images).abs().mean()
    luma = coarse.mean(dim=1)[:, :32, :40].unfold(1, 8, 8).unfold(2, 8, 8)
    assert luma.flatten(3).std(dim=3).mean() < 0.5 * images.mean(dim=1).std()


def test_scratches_are_counted_and_thin() -> None:
    images = torch.zeros(40, 3, 96, 96)
    none, one, ten = (scratch_mask(images, torch.full((40,), number), generator("scratches")) for number in (0.0, 1.0, 10.0))
    assert not none.any()
    assert one.flatten(1).any(dim=1).float().mean() > 0.9
    assert (one & ~ten).sum() == 0
    assert 0.02 < ten.float().mean() < 0.12


def test_a_tear_begins_at_the_border_and_grows_with_its_width() -> None:
    images = torch.zeros(60, 3, 64, 64)
    narrow, wide = (tear_mask(images, torch.full((60,), width), generator("tears")) for width in (3.0, 12.0))
    assert (narrow & ~wide).sum() == 0
    border = torch.cat([wide[..., 0, :], wide[..., -1, :], wide[..., :, 0], wide[..., :, -1]], dim=-1)
    assert border.flatten(1).any(dim=1).all()
    assert wide.float().mean() > 2 * narrow.float().mean()


def test_stains_let_the_image_through_and_fading_pales_it() -> None:
    images = torch.rand((8, 3, 64, 64), generator=generator("images"))
    stained = damaged("stains", images, 24.0)
    touched = (stained != images).any(dim=1)
    assert 0.02 < touched.float().mean() < 0.5
    assert (stained <= images).all()
    inside = torch.stack((stained.mean(dim=1)[touched], images.mean(dim=1)[touched]))
    assert torch.corrcoef(inside)[0, 1] > 0.7
    faded = damaged("fading", images, 0.8)
    assert faded.std() < 0.6 * images.std()
    assert faded[:, 2].mean() < faded[:, 0].mean()  # yellow


@pytest.mark.parametrize("name", ["scratches", "tears"])
def test_what_is_destroyed_is_in_the_mask(name: str) -> None:
    images = torch.rand((20, 3, 32, 32), generator=generator("images"))
    degraded, damage = Pipeline((Step(name, 5),))(images, generator("damage"))
    changed = (degraded != images).any(dim=1, keepdim=True)
    assert damage.mask.any()
    assert (changed & ~damage.mask).sum() == 0
    assert (damage.mask & ~changed).float().mean() < 0.001


def test_relative_strengths_are_parts_of_the_shorter_side() -> None:
    for height, width in ((32, 32), (200, 100)):
        _, damage = Pipeline((Step("occlusion", 0.25, relative=True),))(torch.zeros(3, 3, height, width), generator("damage"))
        side = min(height, width) / 4
        assert damage.strengths["occlusion"].tolist() == 3 * [side]
        assert (damage.mask.sum(dim=(1, 2, 3)) == side**2).all()


def test_only_lengths_are_relative() -> None:
    with pytest.raises(
        UserError, match=r"Expected relative strengths of a length in pixels, found relative jpeg .quality of libjpeg.; leave"
    ):
        Step("jpeg", 50, relative=True)


@pytest.mark.parametrize("suite", ["medical", "driving", "surveillance", "art"])
@pytest.mark.parametrize("side", [32, 160])
def test_suites_of_domains_harm_images_of_any_size_alike(suite: str, side: int) -> None:
    pipeline = SUITES[suite]
    images = torch.rand((24, 3, side // 8, side // 8), generator=generator("images")).repeat_interleave(8, 2).repeat_interleave(8, 3)
    degraded, damage = pipeline(images, generator("suite", suite))
    applied = torch.stack([~strength.isnan() for strength in damage.strengths.values()]).sum(dim=0)
    assert applied.max() <= pipeline.at_most
    assert 1 < applied.float().mean() < 3
    error = (degraded - images).square().mean(dim=(1, 2, 3)).sqrt()
    assert 0.02 < error.median() < 0.35
    for step in pipeline.steps:
        assert step.relative or not step.degradation.is_length
