"""Every row of the table keeps the contract, and every family follows its source."""

import subprocess
import sys
from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pellucid.degradations import DEGRADATIONS, FILL, Degradation
from pellucid.degradations.blur import gaussian_blur
from pellucid.degradations.compression import jpeg
from pellucid.degradations.noise import gaussian_noise
from pellucid.degradations.occlusion import square_mask
from pellucid.degradations.resolution import low_resolution
from pellucid.seeding import generator

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

UNORDERED = {"glass_blur_c", "frost_c", "elastic_transform_c"}
"""Corruptions whose published severities are not ordered by the error of their pixels; `test_corruptions.py` has what they are."""

every_degradation = pytest.mark.parametrize("degradation", DEGRADATIONS.values(), ids=DEGRADATIONS)


def random_images(*shape: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Tensor:
    return torch.rand(shape, generator=generator("test images", *shape), dtype=dtype).to(device)


def ladder(degradation: Degradation, num: int) -> Tensor:
    """Strengths from mild to severe."""
    return torch.linspace(*degradation.typical_range, num)


@every_degradation
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 1, 1), (3, 3, 1, 6), (2, 3, 7, 5), (4, 3, 33, 47)], ids=str)
def test_contract(degradation: Degradation, shape: tuple[int, ...], dtype: torch.dtype, device: str) -> None:
    images = random_images(*shape, dtype=dtype, device=device)
    before = images.clone()
    strength = ladder(degradation, shape[0]).to(device)
    kept_strength = strength.clone()
    result = degradation.function(images, strength, generator("damage", device=device))
    assert result.shape == images.shape
    assert result.dtype == dtype
    assert result.device == images.device
    assert ((result >= 0) & (result <= 1)).all()
    assert torch.equal(images, before)
    assert torch.equal(strength, kept_strength)
    assert result.data_ptr() != images.data_ptr() or images.numel() == 0
    torch.testing.assert_close(degradation.function(images, strength, generator("damage", device=device)), result, rtol=0, atol=0)


@every_degradation
def test_memory_layout_does_not_matter(degradation: Degradation) -> None:
    images = random_images(3, 3, 16, 12)
    strength = ladder(degradation, 3)
    expected = degradation.function(images, strength, generator("damage"))
    result = degradation.function(images.to(memory_format=torch.channels_last), strength, generator("damage"))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@every_degradation
def test_extreme_strengths(degradation: Degradation) -> None:
    images = random_images(2, 3, 9, 6)
    strength = torch.tensor([max(-1e4, min(1e4, end)) for end in degradation.valid_range])
    result = degradation.function(images, strength, generator("damage"))
    assert ((result >= 0) & (result <= 1)).all()


@every_degradation
def test_an_image_does_not_depend_on_its_neighbours_strengths(degradation: Degradation) -> None:
    images = random_images(3, 3, 20, 20)
    mild, severe = degradation.typical_range
    among_mild = degradation.function(images, torch.tensor([mild, severe, mild]), generator("damage"))
    among_severe = degradation.function(images, torch.tensor([severe, severe, severe]), generator("damage"))
    torch.testing.assert_close(among_mild[1], among_severe[1], rtol=0, atol=1e-6)
    assert not torch.equal(among_mild[0], among_severe[0])


@pytest.mark.parametrize("name", [name for name in DEGRADATIONS if name not in UNORDERED])
def test_a_greater_strength_harms_more(name: str) -> None:
    degradation = DEGRADATIONS[name]
    num, each = 5, 16
    images = random_images(each, 3, 32, 32).repeat_interleave(num, dim=0)
    result = degradation.function(images, ladder(degradation, num).repeat(each), generator("damage"))
    errors = (result - images).square().mean(dim=(1, 2, 3)).view(each, num).mean(dim=0)
    assert (errors.diff() > 0).all(), errors


@every_degradation
def test_row(degradation: Degradation) -> None:
    least, greatest = degradation.valid_range
    assert all(least <= strength <= greatest for strength in degradation.typical_range)
    assert degradation.unit
    assert degradation.source


@pytest.mark.parametrize(
    ("name", "strength"), [("gaussian_noise", 0), ("occlusion", 0), ("lost_region", 0), ("low_resolution", 1), ("gaussian_blur", 0)]
)
def test_the_strength_that_does_nothing(name: str, strength: float) -> None:
    images = random_images(3, 3, 12, 17)
    result = DEGRADATIONS[name].function(images, torch.full((3,), float(strength)), generator("damage"))
    torch.testing.assert_close(result, images, rtol=0, atol=1e-6)


def test_noise_has_its_sigma_and_is_independent() -> None:
    sigma = torch.tensor([0.01, 0.05, 0.1])
    noise = gaussian_noise(torch.full((3, 3, 128, 128), 0.5), sigma, generator("damage")) - 0.5
    planes = noise.view(3, 3, -1)
    assert planes.mean(dim=(1, 2)).abs().max() < 0.002
    torch.testing.assert_close(planes.std(dim=(1, 2)), sigma, rtol=0.02, atol=0)
    for image in planes:
        correlations = torch.corrcoef(torch.cat((image, image.roll(1, dims=1)))) - torch.eye(6)
        assert correlations.abs().max() < 0.04
    assert abs(torch.corrcoef(planes.flatten(1))[0, 1]) < 0.02


def test_noise_is_clipped_not_wrapped() -> None:
    noisy = gaussian_noise(torch.zeros(1, 3, 64, 64), torch.tensor([0.1]), generator("damage"))
    assert 0.45 < (noisy == 0).float().mean() < 0.55


@pytest.mark.parametrize(("height", "width"), [(32, 32), (5, 40), (40, 5), (1, 1)])
@pytest.mark.parametrize("side", [1.0, 3.0, 7.6, 500.0])
def test_hole_is_one_whole_square(height: int, width: int, side: float) -> None:
    mask = square_mask(torch.zeros(50, 3, height, width), torch.full((50,), side), generator("damage"))
    expected = min(round(side), height, width)
    assert mask.shape == (50, 1, height, width)
    assert mask.dtype == torch.bool
    assert (mask.any(dim=3).sum(dim=2) == expected).all()
    assert (mask.any(dim=2).sum(dim=2) == expected).all()
    assert (mask.sum(dim=(1, 2, 3)) == expected**2).all()


def test_hole_lies_anywhere_with_equal_probability() -> None:
    num, positions = 20_000, 25
    mask = square_mask(torch.zeros(num, 3, 32, 32), torch.full((num,), 8.0), generator("damage"))[:, 0]
    row, column = mask.any(dim=2).int().argmax(dim=1), mask.any(dim=1).int().argmax(dim=1)
    for start in (row, column):
        counts = start.bincount(minlength=positions)
        assert len(counts) == positions
        chi_square = (counts - num / positions).square().sum() / (num / positions)
        assert chi_square < 51.2  # 24 degrees of freedom, exceeded with probability 0.001
    assert abs(torch.corrcoef(torch.stack((row, column)).float())[0, 1]) < 0.03


def test_occlusion_fills_its_hole_and_nothing_else() -> None:
    images = random_images(6, 3, 32, 32)
    side = torch.tensor([1.0, 4, 8, 12, 16, 32])
    mask = square_mask(images, side, generator("damage"))
    result = DEGRADATIONS["occlusion"].function(images, side, generator("damage"))
    assert (result[mask.expand_as(result)] == FILL).all()
    assert torch.equal(result[~mask.expand_as(result)], images[~mask.expand_as(images)])


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0, 4.0, 100.0])
def test_low_resolution_is_pillows_bicubic(factor: float) -> None:
    images = 0.3 + 0.4 * random_images(2, 3, 32, 23)  # away from the ends: Pillow does not clip floats
    result = low_resolution(images, torch.full((2,), factor), generator("unused"))
    small = (max(1, round(23 / factor)), max(1, round(32 / factor)))
    for plane, expected in zip(result.flatten(0, 1), images.flatten(0, 1), strict=True):
        picture = Image.fromarray(expected.numpy()).resize(small, Image.Resampling.BICUBIC).resize((23, 32), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(plane.numpy(), np.asarray(picture), atol=2e-6)


def test_low_resolution_with_a_factor_for_each_image() -> None:
    images, factors = random_images(5, 3, 32, 32), torch.tensor([4.0, 2.0, 1.0, 2.0, 3.9])
    together = low_resolution(images, factors, generator("unused"))
    alone = torch.cat(
        [low_resolution(image[None], factor[None], generator("unused")) for image, factor in zip(images, factors, strict=True)]
    )
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 32), (5, 3), (1, 1)])
def test_blur_is_opencvs(shape: tuple[int, int]) -> None:
    images, sigma = random_images(3, 3, *shape), torch.tensor([0.4, 1.0, 2.7])
    result = gaussian_blur(images, sigma, generator("unused"))
    for image, expected, deviation in zip(result, images, sigma.tolist(), strict=True):
        side = 2 * round(4 * deviation) + 1
        for plane, original in zip(image.numpy(), expected.double().numpy(), strict=True):
            reference = cv2.GaussianBlur(original, (side, side), deviation, borderType=cv2.BORDER_REPLICATE)
            np.testing.assert_allclose(plane, reference, atol=1e-6)


@pytest.mark.parametrize("quality", [5, 40, 75, 95])
def test_jpeg_is_the_codecs(quality: int) -> None:
    pixels = (random_images(1, 3, 4, 5) * 255).round().repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    picture = pixels[0].byte().permute(1, 2, 0).contiguous().numpy()
    result = (
        (jpeg(((pixels - 0.4) / 255).clamp(min=0), torch.tensor([float(quality)]), generator("unused")) * 255)[0].permute(1, 2, 0).numpy()
    )

    encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    np.testing.assert_allclose(result, cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), atol=1e-4)

    # Another program's JPEG at that quality: the number means the same, and the channels are in their places.
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    assert np.abs(result - np.asarray(Image.open(file), dtype=np.float32)).max() <= 3


def test_naming_degradations_needs_no_torch() -> None:
    program = "import sys, pellucid.degradations, pellucid.evaluation; print({'torch', 'numpy', 'cv2'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "set()\n"
