"""The order, crops, flips and damage of training batches: decided by the seed alone."""

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.batch import Batch
from pellucid.data import Dataset, keep_labels
from pellucid.degradations import SUITES
from pellucid.loader import TrainLoader
from pellucid.recipe import Recipe
from pellucid.run import run


def numbered(num_images: int, size: int = 12) -> Dataset:
    """Images that are distinguished by any of their pixels: image i is i everywhere in red, and a ramp to the right in green."""
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
        assert (batch.damage.mask.sum((1, 2, 3)) == 64).all()


def partly(num_images: int = 60, num_labels: int = 6, **settings) -> TrainLoader:
    """A loader of images of which some have labels: the same ones for any settings."""
    settings = {"batch_size": 8, "seed": 0, "crop": 2, "flip": "random", "labelled_share": 0.5, **settings}
    return TrainLoader(keep_labels(numbered(num_images), num_labels), SUITES["reference"], **settings)


def shown(batches: list[Batch]) -> tuple[list[int], list[int]]:
    """The names of the labelled and of the unlabelled images."""
    of_kind: tuple[list[int], list[int]] = ([], [])
    for batch in batches:
        for name, label in zip(names(batch), batch.labels.tolist(), strict=True):
            assert label in (name % 3, -1)
            of_kind[label == -1].append(name)
    return of_kind


def test_a_fully_labelled_set_is_shown_as_ever() -> None:
    """The bytes from before there was a labelled share: figures from then can be repeated."""
    for share in (None, 0.5):
        digest = hashlib.sha256()
        for epoch in (0, 1, 2):
            for batch in loader(crop=2, flip="random", labelled_share=share).epoch(epoch):
                for part in (batch.clean.mul(255).round().byte(), batch.labels, batch.damage.mask):
                    digest.update(part.numpy().tobytes())
        assert digest.hexdigest()[:12] == "85fe50152a7b"


@pytest.mark.parametrize("num_labels", [0, 6])
def test_without_a_share_labels_do_not_matter(num_labels: int) -> None:
    dataset = numbered(20)
    unlabelled = Dataset(dataset.images, np.where(np.arange(20) < num_labels, dataset.labels, -1), dataset.classes)
    share = None if num_labels else 0.5  # without any label there is nothing to draw a share from
    batches = TrainLoader(unlabelled, SUITES["reference"], batch_size=4, seed=0, labelled_share=share).epoch(1)
    assert [names(batch) for batch in batches] == [names(batch) for batch in loader().epoch(1)]


@pytest.mark.parametrize(("share", "num_labelled"), [(0.5, 4), (0.25, 2), (0.3, 2), (0.01, 1), (1.0, 8)])
def test_every_batch_has_its_share_of_labels(share: float, num_labelled: int) -> None:
    batches = list(partly(labelled_share=share).epoch(0))
    assert len(batches) == 7  # as many as without labels: 60 // 8
    assert [(batch.labels != -1).sum().item() for batch in batches] == [num_labelled] * 7


@pytest.mark.parametrize(("num_labels", "num_in_batch"), [(2, 4), (6, 4), (50, 7), (59, 7)])  # no fewer than of all images
def test_either_kind_is_shown_evenly(num_labels: int, num_in_batch: int) -> None:
    batches = [batch for epoch in range(6) for batch in partly(num_labels=num_labels).epoch(epoch)]
    for actual, number, in_batch in zip(shown(batches), (num_labels, 60 - num_labels), (num_in_batch, 8 - num_in_batch), strict=True):
        assert len(actual) == 6 * 7 * in_batch
        passes, rest = divmod(len(actual), number)
        for start in range(0, passes * number, number):
            assert len(set(actual[start : start + number])) == number  # each once before any comes again, across batches and epochs
        assert Counter(Counter(actual).values())[passes + 1] == rest
        orders = {tuple(actual[start : start + number]) for start in range(0, passes * number, number)}
        assert len(orders) > 1 or passes < 2 or number == 1  # reshuffled


@settings(max_examples=20, deadline=None)
@given(epoch=st.integers(0, 50), start=st.integers(0, 7))
def test_a_partly_labelled_epoch_can_be_entered_anywhere(epoch: int, start: int) -> None:
    whole, rest = list(partly().epoch(epoch)), list(partly().epoch(epoch, start))
    assert len(rest) == len(whole) - start
    for one, other in zip(whole[start:], rest, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_processes_share_labelled_and_unlabelled_images(share: float) -> None:
    alone = list(partly(labelled_share=share).epoch(2))
    shares = [list(partly(labelled_share=share, rank=rank, world_size=2).epoch(2)) for rank in (0, 1)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert names(whole) == [name for part in parts for name in names(part)]
        assert [(part.labels != -1).sum().item() for part in parts] == [4 * share] * 2


def test_seeds_draw_other_images_of_either_kind() -> None:
    for one, other in zip(shown(list(partly().epoch(0))), shown(list(partly(seed=1).epoch(0))), strict=True):
        assert one != other
        assert len(one) == len(other)


class Seen(Exception):  # noqa: N818
    """Ends a run when all is known."""


def test_a_run_draws_the_share_that_its_recipe_has(tmp_path: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(dataset: Dataset, degrade: object, **settings: Any) -> None:
        raise Seen(settings["labelled_share"], len(dataset), (dataset.labels != -1).sum())

    monkeypatch.setattr("pellucid.run.TrainLoader", look)
    with pytest.raises(Seen) as seen:
        run(replace(tiny, data=replace(tiny.data, labels=12, labelled_share=0.25)), tmp_path / "run", device="cpu")
    assert seen.value.args == (0.25, 96, 12)
