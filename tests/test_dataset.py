import doctest
import hashlib
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pellucid import data
from pellucid.data import Dataset, Splits, synthetic
from pellucid.errors import UserError
from pellucid.recipe import DataConfig


def dataset(labels: list[int], num_classes: int = 4) -> Dataset:
    """Images whose every pixel is their index, so that a mix-up shows."""
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 9, 3), np.uint8)
    return Dataset(images, np.array(labels, np.int64), tuple("abcdefgh"[:num_classes]))


def test_a_subset_keeps_images_and_labels_together() -> None:
    part = dataset([3, 1, -1, 0]).subset([2, 0])
    assert len(part) == 2
    assert part.labels.tolist() == [-1, 3]
    assert part.images[:, 0, 0, 0].tolist() == [2, 0]
    assert part.images.shape == (2, 8, 9, 3)


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (
            np.zeros((2, 8, 8), np.uint8),
            np.zeros(2, np.int64),
            r"Expected uint8 images of shape \(N, H, W, 3\), found uint8 of shape \(2, 8, 8\)",
        ),
        (np.zeros((2, 3, 8, 8), np.uint8), np.zeros(2, np.int64), "Expected uint8 images"),
        (np.zeros((2, 8, 8, 3), np.float32), np.zeros(2, np.int64), "Expected uint8 images .*, found float32"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(3, np.int64), r"Expected int64 labels of shape \(2,\), found int64 of shape \(3,\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.uint8), "Expected int64 labels .*, found uint8"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 4]), "Expected labels from 0 to 3, or -1 .*, found 0 to 4"),
        (np.zeros((2, 8, 8, 3), np.uint8), np.array([0, -2]), "Expected labels from 0 to 3, or -1 .*, found -2 to 0"),
    ],
)
def test_what_does_not_fit_is_refused(images: NDArray[np.uint8], labels: NDArray[np.int64], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Dataset(images, labels, ("a", "b", "c", "d"))


def test_splits_share_their_classes() -> None:
    with pytest.raises(ValueError, match="Expected the same classes"):
        Splits(dataset([0]), dataset([0], num_classes=3))


@given(labels=st.lists(st.integers(-1, 3), min_size=2, max_size=60), draw=st.data())
def test_hold_out_takes_the_last_of_every_class_in_proportion(labels: list[int], draw: st.DataObject) -> None:
    num_images = draw.draw(st.integers(1, len(labels) - 1))
    rest, held = split_of(labels, num_images)
    assert len(held) == num_images
    assert sorted(rest + held) == list(range(len(labels)))
    assert (rest, held) == (sorted(rest), sorted(held))
    for label in set(labels):
        kept, taken = ([index for index in part if labels[index] == label] for part in (rest, held))
        assert abs(len(taken) - num_images * labels.count(label) / len(labels)) < 1
        assert not (kept and taken) or max(kept) < min(taken)


def split_of(labels: list[int], num_images: int) -> tuple[list[int], list[int]]:
    rest, held = data.hold_out(dataset(labels), num_images)
    assert [labels[index] for index in held.images[:, 0, 0, 0]] == held.labels.tolist()
    return rest.images[:, 0, 0, 0].tolist(), held.images[:, 0, 0, 0].tolist()


def test_hold_out_keeps_groups_whole() -> None:
    groups = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 5])  # three of class 0, three of class 1
    whole = replace(dataset([0, 0, 0, 0, 0, 0, 1, 1, 1, 1]), groups=groups)
    for num_images in range(1, 10):
        rest, held = data.hold_out(whole, num_images)
        assert len(rest) + len(held) == 10
        assert set(rest.groups).isdisjoint(held.groups)
        assert len(rest) > 0
        assert len(held) > 0
    assert set(data.hold_out(whole, 3)[1].groups) == {2, 5}  # two of six groups, the last ones of either class
    with pytest.raises(UserError, match="not all related"):
        data.hold_out(replace(whole, groups=np.zeros(10, np.int64)), 3)


def test_hold_out_by_hand() -> None:
    assert split_of([0, 1, 0, 1, 0, 0, 2, 0], 3) == ([0, 1, 2, 4, 6], [3, 5, 7])


@pytest.mark.parametrize("num_images", [-1, 0, 4, 5])
def test_hold_out_leaves_something_on_both_sides(num_images: int) -> None:
    with pytest.raises(UserError, match="Expected to hold out between 1 and 3 of 4 images"):
        data.hold_out(dataset([0, 1, 2, 3]), num_images)


def kept(labels: list[int], num_labels: int) -> list[int]:
    """The images that keep their label."""
    images = dataset(labels)
    fewer = data.keep_labels(images, num_labels)
    assert np.shares_memory(fewer.images, images.images)
    assert images.labels.tolist() == labels
    assert all(after in (before, -1) for before, after in zip(labels, fewer.labels.tolist(), strict=True))
    return np.flatnonzero(fewer.labels != -1).tolist()


@given(labels=st.lists(st.integers(-1, 3), min_size=2, max_size=60).filter(lambda labels: max(labels) > -1), draw=st.data())
def test_fewer_labels_are_a_part_of_more(labels: list[int], draw: st.DataObject) -> None:
    num_labelled = sum(label != -1 for label in labels)
    more = draw.draw(st.integers(1, num_labelled))
    fewer = draw.draw(st.integers(1, more))
    few, many = kept(labels, fewer), kept(labels, more)
    assert (len(few), len(many)) == (fewer, more)
    assert set(few) <= set(many)
    assert kept(labels, num_labelled) == [index for index, label in enumerate(labels) if label != -1]


@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4), draw=st.data())
def test_labels_are_kept_in_proportion_to_the_classes(sizes: list[int], draw: st.DataObject) -> None:
    labels = draw.draw(st.permutations([label for label, size in enumerate(sizes) for _ in range(size)]))
    num_labels = draw.draw(st.integers(1, len(labels)))
    of_class = np.bincount([labels[index] for index in kept(labels, num_labels)], minlength=len(sizes))
    shares = np.array(sizes) / len(labels) * num_labels
    assert ((of_class - 0.5) / sizes).max() <= ((of_class + 0.5) / sizes).min() + 1e-12  # Webster: no label should move to another class
    assert (abs(of_class - shares) < len(sizes) / 2).all()


def test_ten_per_cent_of_equal_classes_are_ten_per_cent_of_each() -> None:
    labels = np.arange(1000, dtype=np.int64) % 10
    images = Dataset(np.zeros((1000, 1, 1, 3), np.uint8), labels, tuple("abcdefghij"))
    few = data.keep_labels(images, 100)
    assert np.bincount(few.labels[few.labels != -1]).tolist() == [10] * 10
    positions = np.flatnonzero(few.labels != -1)
    assert 400 < positions.mean() < 600  # from all over
    assert hashlib.sha256(positions.tobytes()).hexdigest()[:12] == "e2f0aa17ea1d"  # the protocol's, for every run and machine


@pytest.mark.parametrize("num_labels", [-1, 0, 4])
def test_labels_that_are_not_there_cannot_be_kept(num_labels: int) -> None:
    with pytest.raises(UserError, match="Expected to keep between 1 and 3 labels, found"):
        data.keep_labels(dataset([0, 1, -1, 3]), num_labels)


def training(**settings: Any) -> tuple[Dataset, Dataset | None]:
    """What is selected of 40 images, 10 of every class."""
    selected = data.select(Splits(dataset([0, 1, 2, 3] * 10), dataset([0, 1, 2, 3])), **settings)
    return selected.train, selected.validation


def test_labels_are_dropped_after_limit_and_validation() -> None:
    train, held = training(labels=8, limit=32, validation=8)
    assert held is not None
    assert (len(train), len(held)) == (24, 8)
    assert np.bincount(held.labels).tolist() == [2] * 4
    assert np.bincount(train.labels + 1).tolist() == [16, 2, 2, 2, 2]
    assert set(train.images[:, 0, 0, 0]).isdisjoint(held.images[:, 0, 0, 0])
    assert max(train.images[:, 0, 0, 0]) < 32


def test_images_without_a_label_can_be_left_out() -> None:
    every, _ = training(labels=8)
    labelled, _ = training(labels=8, unlabelled=False)
    assert len(every) == 40
    positions = np.flatnonzero(every.labels != -1)
    assert labelled.images[:, 0, 0, 0].tolist() == positions.tolist()
    assert labelled.labels.tolist() == every.labels[positions].tolist()


@pytest.mark.parametrize(("unlabelled", "labels"), [(True, 0), (False, 0), (True, 40)])
def test_fully_labelled_images_are_left_alone(unlabelled: bool, labels: int) -> None:
    images = dataset([0, 1, 2, 3] * 10)
    selected = data.select(Splits(images, images), unlabelled=unlabelled, labels=labels)
    train, held = selected.train, selected.validation
    assert held is None
    assert train.images is images.images
    assert train.labels.tolist() == images.labels.tolist()


def test_a_recipe_says_which_images(tmp_path: Path) -> None:
    splits = DataConfig("shapes", limit=400, validation=80, labels=40).splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (320, 80, 400)
    assert (splits.train.split, splits.measured.split) == ("train", "validation")
    assert splits.train.counts == "320 images (40 with a label)"
    assert DataConfig("shapes").splits().measured.split == "test"


@pytest.mark.parametrize(
    ("settings", "found"), [({"labels": -1}, "labels"), ({"labelled_share": 0.0}, "labelled_share"), ({"labelled_share": 1.1}, "1.1")]
)
def test_what_has_no_meaning_is_refused(settings: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=found):
        DataConfig(**settings)


def test_shapes_depend_on_the_seed_alone() -> None:
    first, again, other = (synthetic.shapes(12, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train.images, again.train.images)
    np.testing.assert_array_equal(first.test.labels, again.test.labels)
    assert not np.array_equal(first.train.images, other.train.images)
    assert len({image.tobytes() for split in (first.train, first.test) for image in split.images}) == 15


def test_shapes_are_balanced_and_of_the_size_asked_for() -> None:
    splits = synthetic.shapes(24, size=21, num_classes=6)
    assert splits.train.images.shape == (24, 21, 21, 3)
    assert len(splits.test) == 5
    assert np.bincount(splits.train.labels).tolist() == [4] * 6
    assert splits.train.classes == tuple(synthetic.SHAPES)


def test_shapes_differ_and_stay_in_the_picture() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 201), np.linspace(-1, 1, 201))
    masks = [inside(x, y) for inside in synthetic.SHAPES.values()]
    for mask in masks:
        assert mask.mean() > 0.1
        assert not mask[x**2 + y**2 > 1].any()
    for one, other in combinations(masks, 2):
        assert (one != other).mean() > 0.05


@pytest.mark.parametrize("arguments", [{"num_images": 0}, {"size": 7}, {"num_classes": 1}, {"num_classes": 7}])
def test_shapes_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UserError, match="Expected at least 1 image of at least 8 pixels, and 2 to 6 classes, found"):
        synthetic.shapes(**arguments)


def test_data_sets_have_names() -> None:
    with pytest.raises(UserError, match="Expected a data set among cifar10, shapes, or a folder of pictures, found 'cifar11'"):
        data.load("cifar11")
    with pytest.raises(UserError, match="Expected no source for drawn shapes"):
        data.load("shapes", Path("folder"))


def test_the_example_runs() -> None:
    assert doctest.testmod(data).failed == 0


def test_reading_data_needs_no_torch() -> None:
    code = "import sys, pellucid.data, pellucid.pictures; sys.exit(bool({'torch', 'cv2', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
