"""The order, crops, flips and damage of training batches: decided by the seed alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.batch import Batch
from pellucid.data import Dataset
from pellucid.degradations import SUITES
from pellucid.loader import TrainLoader


def numbered(num_images: int, size: int = 12) -> Dataset:
    """Images that are told apart by any of their pixels: image i is i everywhere in red, and a ramp to the right in green."""
    images = np.zeros((num_images, size, size, 3), np.uint8)
    images[..., 0] = np.arange(num_images)[:, None, None]
    images[..., 1] = np.arange(size) * 10
    return Dataset(images, np.arange(num_images, dtype=np.int64) % 3, ("a", "b", "c"))


def loader(num_images: int = 20, **settings) -> TrainLoader:
    settings = {"batch_size": 4, "seed": 0, **settings}
    return TrainLoader(numbered(num_images), SUITES["reference"], **settings)


def names(batch: Batch) -> list[int]:
    return (batch.clean[:, 0, 0, 0] * 255).round().int().tolist()


def assert_same(one: Batch, other: Batch) -> None:
    for name in ("clean", "degraded", "labels"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_an_epoch_shows_every_image_once_with_its_label() -> None:
    for crop, flip in ((0, "none"), (2, "random"), (2, "alternate")):
        batches = list(loader(crop=crop, flip=flip).epoch(3))
        assert sorted(name for batch in batches for name in names(batch)) == list(range(20))
        for batch in batches:
            assert batch.labels.tolist() == [name % 3 for name in names(batch)]


def test_an_incomplete_batch_is_left_out_and_a_small_set_is_one_batch() -> None:
    assert [len(batch) for batch in loader(19).epoch(0)] == [4, 4, 4, 4]
    assert [len(batch) for batch in loader(3).epoch(0)] == [3]


@settings(max_examples=20, deadline=None)
@given(epoch=st.integers(0, 50), start=st.integers(0, 5))
def test_an_epoch_can_be_entered_anywhere(epoch: int, start: int) -> None:
    whole = list(loader(crop=2, flip="random").epoch(epoch))
    rest = list(loader(crop=2, flip="random").epoch(epoch, start))
    assert len(rest) == len(whole) - start
    for one, other in zip(whole[start:], rest, strict=True):
        assert_same(one, other)


def test_epochs_and_seeds_differ() -> None:
    first, second = (next(loader().epoch(epoch)) for epoch in (0, 1))
    other = next(loader(seed=1).epoch(0))
    assert names(first) != names(second)
    assert names(first) != names(other)
    assert not torch.equal(first.degraded - first.clean, second.degraded - second.clean)


def test_processes_share_an_epoch() -> None:
    alone = list(loader().epoch(2))
    shares = [list(loader(rank=rank, world_size=2).epoch(2)) for rank in (0, 1)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert names(whole) == [name for part in parts for name in names(part)]


def test_alternate_flips_mirror_every_image_in_every_other_epoch() -> None:
    seen: dict[int, list[bool]] = {}
    flipping = loader(flip="alternate")
    for epoch in range(4):
        for batch in flipping.epoch(epoch):
            for name, image in zip(names(batch), batch.clean, strict=True):
                seen.setdefault(name, []).append(bool(image[1, 0, 0] > image[1, 0, -1]))
    assert all(flips in ([True, False] * 2, [False, True] * 2) for flips in seen.values())
    assert {flips[0] for flips in seen.values()} == {True, False}


def test_crops_shift_by_at_most_so_many_pixels_over_mirrored_borders() -> None:
    shifts = set()
    for batch in loader(200, batch_size=200, crop=2).epoch(0):
        for image in batch.clean:
            ramp = (image[1, 0] * 255 / 10).round().int().tolist()
            inside = ramp[4] - 4
            shifts.add(inside)
            assert ramp == [abs(x) if x < 12 else 22 - x for x in range(inside, inside + 12)]
    assert shifts == {-2, -1, 0, 1, 2}


def test_the_data_set_is_left_alone() -> None:
    dataset = numbered(8)
    before = dataset.images.copy()
    list(TrainLoader(dataset, SUITES["reference"], batch_size=4, seed=0, crop=2, flip="random").epoch(0))
    assert (dataset.images == before).all()


@pytest.mark.parametrize("flip", ["none", "random", "alternate"])
def test_images_stay_in_range(flip: str) -> None:
    for batch in loader(crop=3, flip=flip).epoch(0):
        for images in (batch.clean, batch.degraded):
            assert images.dtype == torch.float32
            assert 0 <= images.min() <= images.max() <= 1
        assert (batch.damage.hole.sum((1, 2, 3)) == 64).all()
