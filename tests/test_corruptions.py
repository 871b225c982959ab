"""The corruptions harm images as much as the program that CIFAR-10-C and ImageNet-C were made with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from pellucid.degradations import CORRUPTIONS, DEGRADATIONS, fields
from pellucid.degradations.blur import _followed
from pellucid.degradations.fields import plasma, smooth_noise
from pellucid.degradations.motion import trail_blur
from pellucid.metrics.psnr import psnr_of
from pellucid.seeding import generator

REFERENCE = json.loads((Path(__file__).parent / "golden" / "corruptions.json").read_text())
"""Quartiles of the PSNR in dB that the original program gives on `drawn` images, for each corruption and severity."""

EXACT = ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
"""Corruptions without chance, so that nothing but rounding differs."""


def drawn(num: int, side: int) -> Tensor:
    """Images with the spectrum of photographs, in 8 bits: (num, 3, side, side)."""
    random = torch.Generator().manual_seed(2024)
    rows, columns = torch.fft.fftfreq(side, dtype=torch.float64), torch.fft.rfftfreq(side, dtype=torch.float64)
    amplitude = 1 / (rows[:, None].square() + columns.square() + (1 / side) ** 2).sqrt() ** 1.3

    def field(channels: int) -> Tensor:
        noise = torch.randn(num, channels, side, side, generator=random, dtype=torch.float64)
        return torch.fft.irfft2(torch.fft.rfft2(noise) * amplitude, s=(side, side))

    images = field(1) + 0.4 * field(3)
    images = (images - images.mean((1, 2, 3), keepdim=True)) / images.std((1, 2, 3), keepdim=True)
    level = 0.3 + 0.4 * torch.rand(num, 1, 1, 1, generator=random, dtype=torch.float64)
    return ((level + 0.22 * images).clamp(0, 1) * 255).round().float() / 255


@pytest.mark.parametrize(("size", "severities"), [("small", (1, 2, 3, 4, 5)), ("large", (1, 3, 5))])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_psnr_is_the_original_programs(name: str, size: str, severities: tuple[int, ...]) -> None:
    reference = REFERENCE[size]
    clean = drawn(reference["images"], reference["side"])
    differences = []
    for severity in severities:
        degraded = DEGRADATIONS[f"{name}_c"].function(clean, torch.full((len(clean),), float(severity)), generator("test", name, severity))
        cut = (degraded * 255).floor() / 255  # as the original writes it
        quartiles = np.quantile(psnr_of(cut, clean).numpy(), (0.25, 0.5, 0.75))
        differences.append(quartiles - reference["figures"][name][severity - 1])
    if name == "frost":  # other pictures of frost: as bright on average, and that over few images
        assert np.abs(np.mean(differences)) < 2.5
    else:
        assert np.abs(differences).max() < (0.05 if name in EXACT else 1.4), differences


def test_severities_between_the_published_ones_are_interpolated() -> None:
    sigma, photons = (CORRUPTIONS[name].at(torch.tensor([1, 1.5, 3, 4.5, 5]), 32)[0] for name in ("gaussian_noise", "shot_noise"))
    assert sigma.tolist() == pytest.approx([0.04, 0.05, 0.08, 0.095, 0.1])
    assert photons.tolist() == pytest.approx([500, 375, 100, 62.5, 50])


@pytest.mark.parametrize(
    ("side", "radius"), [(8, 1.5), (32, 1.5), (64, 3.0), (84, 1.5 * 84 / 32), (85, 10 * 85 / 224), (224, 10.0), (448, 20.0)]
)
def test_lengths_follow_the_side_and_the_nearer_data_set(side: int, radius: float) -> None:
    assert CORRUPTIONS["defocus_blur"].at(torch.tensor([5.0]), side)[0].item() == pytest.approx(radius)


def test_every_corruption_has_five_severities_of_all_its_parameters() -> None:
    assert len(CORRUPTIONS) == 15
    for corruption in CORRUPTIONS.values():
        for table in (corruption.small, corruption.large):
            assert [len(row) for row in table] == 5 * [len(corruption.parameters)]
        assert set(corruption.like) <= DEGRADATIONS.keys()


def test_chains_of_glass_are_those_of_a_loop() -> None:
    height, width, reach = 12, 9, 3
    shifts = torch.randint(-reach, reach, (2, height, width), generator=generator("glass"))
    expected = torch.arange(height * width).view(height, width)
    source = expected.clone()
    for row in range(height - reach, reach, -1):
        for column in range(width - reach, reach, -1):
            down, right = shifts[:, row, column].tolist()
            source[row, column] = (row + down) * width + column + right
            expected[row, column] = expected[row + down, column + right]
    here = torch.arange(height * width).view(1, -1)
    assert torch.equal(_followed(source.view(1, -1), here)[0], expected.flatten())
    assert not torch.equal(source, expected)  # there are chains


@pytest.mark.parametrize("angle", [0.0, -1.2, 0.6])
def test_a_trail_is_imagemagicks(angle: float) -> None:
    point = torch.zeros(1, 3, 31, 31)
    point[..., 15, 15] = 1
    trail = trail_blur(point, torch.tensor([8.0]), torch.tensor([3.0]), torch.tensor([angle]))[0, 0]
    expected = torch.zeros(31, 31)
    weights = np.exp(-0.5 * (np.arange(17) / 3) ** 2)
    for step, weight in enumerate(weights / weights.sum()):
        down, right = (int(np.ceil(step * part - 0.5)) for part in (np.sin(angle), np.cos(angle)))
        expected[15 - down, 15 - right] += weight  # a pixel is a mean of those on the line from it
    torch.testing.assert_close(trail, expected, rtol=0, atol=1e-5)


def test_plasma_fills_its_range_and_is_smoother_with_more_decay() -> None:
    images = torch.zeros(8, 3, 32, 32)
    rough, smooth = (plasma(images, torch.full((8,), decay), generator("fog")) for decay in (1.4, 3.0))
    for field in (rough, smooth):
        assert field.shape == (8, 1, 32, 32)
        assert torch.equal(field.amin(dim=(1, 2, 3)), torch.zeros(8))
        torch.testing.assert_close(field.amax(dim=(1, 2, 3)), torch.ones(8))
    assert rough.diff(dim=3).abs().mean() > 2 * smooth.diff(dim=3).abs().mean()


def test_the_plasma_of_a_long_picture_is_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    images, decay = torch.zeros(2, 3, 40, 250), torch.full((2,), 3.0)
    whole = plasma(images, decay, generator("fog"))
    monkeypatch.setattr(fields, "MAX_PLASMA", 64)
    interpolated = plasma(images, decay, generator("fog"))
    assert interpolated.shape == whole.shape
    assert 0 < (interpolated - whole).abs().max() < 0.05


@pytest.mark.parametrize("sigma", [0.0, 1.5, 6.0])
def test_smooth_noise_has_the_deviation_that_it_says(sigma: float) -> None:
    images = torch.zeros(40, 3, 48, 32, dtype=torch.float64)
    field, deviation = smooth_noise(images, torch.full((40,), sigma), generator("noise"), channels=2)
    assert field.square().mean().sqrt().item() == pytest.approx(1, rel=0.12)
    white = np.random.default_rng(0).normal(size=(200, 48, 32))
    smoothed = gaussian_filter(white, (0, sigma, sigma), mode="reflect", truncate=6)
    assert deviation[0].item() == pytest.approx(smoothed.std(), rel=0.1)
    neighbours = (field[..., 1:] * field[..., :-1]).mean().item()
    assert neighbours == pytest.approx(np.exp(-1 / (4 * sigma**2)) if sigma else 0, abs=0.12)
