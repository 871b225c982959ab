"""The tracks are those of the protocol, and their damage is the same bytes for everyone."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pellucid.batch import Damage
from pellucid.degradations import CORRUPTIONS, FILL, SUITES
from pellucid.evaluation import PAIRS, TRACKS, Level, Track, own_track
from pellucid.evaluation.tracks import apply_damage, seen_groups

# The first 12 hexadecimal digits of the sha256 of the damaged images and their masks. A change of one of them is a change of the protocol:
# no figure from before it may be compared with one from after it.
GOLDEN = {
    ("clean", "clean"): "ca0aeb8bbf03",
    ("reference", "reference"): "e1f596aee24e",
    ("noise", "sigma=0.04"): "235bac8be24f",
    ("noise", "sigma=0.06"): "90f11da03a1d",
    ("noise", "sigma=0.08"): "5c09e9526940",
    ("noise", "sigma=0.09"): "292374754e7a",
    ("noise", "sigma=0.1"): "bee6e88b018e",
    ("occlusion", "side=4"): "2240c351389b",
    ("occlusion", "side=8"): "98ab3c25f187",
    ("occlusion", "side=12"): "fb7f84466bd8",
    ("occlusion", "side=16"): "fadfd33e0cdd",
    ("lowres", "factor=2"): "0496ef8ccbfc",
    ("lowres", "factor=4"): "57c27f93285d",
    ("jpeg", "quality=80"): "4abe255846b9",
    ("jpeg", "quality=65"): "7be6d80d5206",
    ("jpeg", "quality=58"): "af2196245b8c",
    ("jpeg", "quality=50"): "7c3478de5fad",
    ("jpeg", "quality=40"): "0f27b1804632",
    ("blur", "sigma=0.4"): "15f4339ba45e",
    ("blur", "sigma=0.6"): "6db8b052d6ac",
    ("blur", "sigma=0.7"): "07918ae15c10",
    ("blur", "sigma=0.8"): "a9775c8646d8",
    ("blur", "sigma=1"): "02cd0d2d4e70",
    ("contents", "black"): "d20632b31127",
    ("contents", "white"): "9ee51dc926ad",
    ("contents", "grey"): "14ca75a2c0ee",
    ("contents", "colour"): "36df4ca9c08f",
    ("contents", "noise"): "0b4afb40ec8b",
    ("contents", "picture"): "56ccfb24b7c0",
    ("everyday", "everyday"): "f6f8f08757a4",
    ("low-label", "reference"): "e1f596aee24e",
}
GOLDEN |= {  # so many that they have a file
    (track, level): digits
    for track, levels in json.loads((Path(__file__).parent / "golden" / "tracks.json").read_text()).items()
    for level, digits in levels.items()
}


LEVELS = [(track, level) for track in TRACKS.values() if track.name != "pairs" for level in track.levels]  # pairs bring their own damage
each_level = pytest.mark.parametrize(("track", "level"), LEVELS, ids=[f"{track.name}-{level.name}" for track, level in LEVELS])


def pictures(num: int = 6, height: int = 32, width: int = 32) -> Tensor:
    """Images made of whole numbers: gradients, stripes and a grid, all values from 0 to 255 among them."""
    index, channel, row, column = torch.meshgrid(*(torch.arange(length) for length in (num, 3, height, width)), indexing="ij")
    return ((row * (index + 3) + column * (channel + 2) + (row * column) % (index + 5) * 37 + 80 * channel) % 256).float() / 255


def digest(degraded: Tensor, record: Damage) -> str:
    return hashlib.sha256(degraded.numpy().tobytes() + record.mask.numpy().tobytes()).hexdigest()[:12]


@each_level
def test_bytes(track: Track, level: Level) -> None:
    assert digest(*apply_damage(track, level, pictures(), range(6))) == GOLDEN[track.name, level.name]


def test_every_level_has_its_bytes() -> None:
    assert [(track.name, level.name) for track, level in LEVELS] == list(GOLDEN)


@given(indices=st.lists(st.integers(0, 5), min_size=1, max_size=8), cuts=st.sets(st.integers(1, 7)))
def test_damage_depends_on_the_index_alone(indices: list[int], cuts: set[int]) -> None:
    track = TRACKS["reference"]
    images = pictures()
    expected, expected_record = apply_damage(track, track.levels[0], images, range(6))
    edges = [0, *sorted(cut for cut in cuts if cut < len(indices)), len(indices)]
    for start, end in pairwise(edges):
        part = indices[start:end]
        degraded, record = apply_damage(track, track.levels[0], images[part], part)
        assert torch.equal(degraded, expected[part])
        assert torch.equal(record.mask, expected_record.mask[part])
        assert all(torch.equal(strength, expected_record.strengths[name][part]) for name, strength in record.strengths.items())


@each_level
def test_damage_does_not_depend_on_threads_or_on_global_state(track: Track, level: Level) -> None:
    torch.manual_seed(1)
    once, _ = apply_damage(track, level, pictures(2), range(2))
    torch.set_num_threads(2)
    torch.manual_seed(2)
    again, _ = apply_damage(track, level, pictures(2), range(2))
    assert torch.equal(once, again)


def test_every_name_and_the_seed_change_the_damage() -> None:
    noise, reference = TRACKS["noise"], TRACKS["reference"]
    image = pictures(1)
    renamed = Track("other", noise.levels)
    level = noise.levels[0]
    variants = [
        apply_damage(noise, level, image, [0])[0],
        apply_damage(noise, level, image, [1])[0],
        apply_damage(noise, level, image, [0], seed=1)[0],
        apply_damage(renamed, level, image, [0])[0],
        apply_damage(noise, Level("other", level.pipeline), image, [0])[0],
        apply_damage(reference, reference.levels[0], image, [0])[0],
    ]
    assert len({degraded.numpy().tobytes() for degraded in variants}) == len(variants)


@each_level
def test_result(track: Track, level: Level) -> None:
    clean = pictures(3, 20, 31)
    before = clean.clone()
    degraded, record = apply_damage(track, level, clean, [4, 0, 9])
    assert degraded.dtype == torch.float32
    assert degraded.shape == clean.shape
    assert ((degraded >= 0) & (degraded <= 1)).all()
    assert torch.equal(clean, before)
    assert record.mask.shape == (3, 1, 20, 31)
    assert set(record.strengths) == set(level.pipeline.kinds)
    assert torch.equal(degraded, clean) == (track.name == "clean")


def test_a_batch_must_have_an_index_for_every_image() -> None:
    track = TRACKS["clean"]
    with pytest.raises(ValueError, match="shorter"):
        apply_damage(track, track.levels[0], pictures(3), [0, 1])


def test_the_corruptions_are_fifteen_groups_of_five_severities() -> None:
    track = TRACKS["corruptions"]
    assert track.groups == tuple(CORRUPTIONS)
    assert [level.name for level in track.levels if level.group == "snow"] == [f"snow={severity}" for severity in range(1, 6)]
    assert not any(other.groups for other in TRACKS.values() if other is not track)


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        ((), ()),
        (SUITES["reference"].kinds, ("gaussian_noise",)),
        (("jpeg", "gaussian_blur", "snow_c", "poisson_noise"), ("shot_noise", "snow", "jpeg_compression")),
        (SUITES["driving"].kinds, ("defocus_blur", "motion_blur", "snow", "fog", "jpeg_compression")),
    ],
)
def test_what_a_training_has_seen(trained: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert seen_groups(TRACKS["corruptions"], trained) == expected
    assert seen_groups(TRACKS["noise"], trained) == ()


def test_noise_levels() -> None:
    track = TRACKS["noise"]
    deviations = [(apply_damage(track, level, torch.full((8, 3, 32, 32), 0.5), range(8))[0] - 0.5).std().item() for level in track.levels]
    assert deviations == pytest.approx([0.04, 0.06, 0.08, 0.09, 0.10], rel=0.02)


def test_occlusion_levels() -> None:
    track, clean = TRACKS["occlusion"], torch.zeros(5, 3, 32, 32)
    for level, side in zip(track.levels, (4, 8, 12, 16), strict=True):
        degraded, record = apply_damage(track, level, clean, range(5))
        assert (record.mask.sum(dim=(1, 2, 3)) == side**2).all()
        assert torch.equal(degraded, record.mask.expand_as(clean) * FILL)


def test_lowres_levels() -> None:
    track, clean = TRACKS["lowres"], pictures()
    errors = [(apply_damage(track, level, clean, range(6))[0] - clean).square().mean().item() for level in track.levels]
    assert 0 < errors[0] < errors[1]
    assert [level.pipeline.steps[0].low for level in track.levels] == [2, 4]


def test_reference_level() -> None:
    track, clean = TRACKS["reference"], torch.full((16, 3, 32, 32), 0.3)
    degraded, record = apply_damage(track, track.levels[0], clean, range(16))
    mask = record.mask.expand_as(degraded)
    assert (record.mask.sum(dim=(1, 2, 3)) == 64).all()
    assert (degraded[mask] == FILL).all()
    assert (degraded[~mask] - 0.3).std().item() == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize(
    ("damage", "paired", "name"),
    [
        ("reference", False, "reference"),
        ("medical", False, "medical"),
        ("general", False, "everyday"),  # the same kinds in other shares
        ("none", False, "reference"),
        ("none", True, PAIRS),
        ({"steps": []}, False, "reference"),
        (None, False, "reference"),
    ],
)
def test_a_model_is_measured_under_the_damage_of_its_training(damage: object, paired: bool, name: str) -> None:
    assert own_track(damage, paired) == name
