"""Intervals over seeds and over images, against scipy's and against what is computed by hand."""

import time

import numpy as np
import pytest
import scipy.stats

from pellucid.experiments.statistics import Estimate, bootstrap, estimate, image_differences, paired

SEEDS = 5


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("num_seeds", [2, 3, 5, 30])
def test_the_interval_over_seeds_is_students(num_seeds: int, random: np.random.Generator) -> None:
    values = random.normal(90, 2, num_seeds)
    actual = estimate(list(values))
    assert actual.mean == pytest.approx(values.mean())
    assert actual.interval == pytest.approx(scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95))
    assert actual.half_width == pytest.approx(scipy.stats.t.ppf(0.975, num_seeds - 1) * values.std(ddof=1) / num_seeds**0.5)
    assert actual.values == tuple(values)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    actual = estimate([93.0])
    assert (actual.mean, actual.interval, actual.half_width, actual.sign) == (93.0, None, None, 0)


def test_no_seed_has_no_estimate() -> None:
    with pytest.raises(ValueError, match="at least one seed"):
        estimate([])


def test_differences_are_paired_by_seed(random: np.random.Generator) -> None:
    """Seeds vary by 2, the arms differ by 0.1 with each: paired that is certain, unpaired it is lost."""
    other = dict(enumerate(random.normal(90, 2, SEEDS)))
    one = {seed: value + 0.1 + 0.01 * random.normal() for seed, value in other.items()}
    actual = paired(one, other)
    reference = scipy.stats.ttest_rel(list(one.values()), list(other.values())).confidence_interval(0.95)
    assert actual is not None
    assert actual.interval == pytest.approx(reference)
    assert actual.sign == 1
    backwards = paired(other, one)
    assert backwards is not None
    assert (backwards.mean, backwards.sign) == (pytest.approx(-actual.mean), -1)
    assert scipy.stats.ttest_ind(list(one.values()), list(other.values())).pvalue > 0.5


def test_only_seeds_that_both_have_are_paired_whatever_their_order() -> None:
    actual = paired({0: 1.0, 2: 5.0, 3: 100.0}, {7: -100.0, 2: 2.0, 0: 0.0})
    assert actual is not None
    assert actual.values == (1.0, 3.0)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_the_sign_is_that_of_the_whole_interval() -> None:
    assert [Estimate(0.0, interval, ()).sign for interval in ((0.1, 2.0), (-0.1, 2.0), (-2.0, -0.1), (0.0, 1.0), (-1.0, 0.0))] == [
        1,
        0,
        -1,
        0,
        0,
    ]


def test_images_are_averaged_over_levels_and_shared_seeds() -> None:
    one = {0: np.array([1, 2, 3, 4], np.float32), 1: np.array([3, 4, 5, 8], np.float32), 2: np.full(4, 1000, np.float32)}
    other = {1: np.ones(4, np.float32), 0: np.zeros(4, np.float32)}
    assert image_differences(one, other, 4).tolist() == [1.5, 2.5, 3.5, 5.5]
    assert image_differences(one, other, 2).tolist() == [2.5, 4.0]  # two levels, level by level
    assert np.isnan(image_differences(one, {}, 4)).all()


def test_what_is_unknown_in_one_arm_is_left_out_in_both() -> None:
    nan = np.nan
    one, other = {0: np.array([1, nan, 9, nan], np.float32)}, {0: np.array([0, 5, nan, nan], np.float32)}
    differences = image_differences(one, other, 4)
    assert differences[0] == 1
    assert np.isnan(differences[1:]).all()
    assert bootstrap(differences, "one image") == (1, 1)
    assert bootstrap(np.full(3, nan), "none") is None
    assert image_differences(one, other, 2).tolist() == pytest.approx([1, nan], nan_ok=True)


def test_columns_of_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes \[3, 4\]"):
        image_differences({0: np.zeros(4, np.float32)}, {0: np.zeros(3, np.float32)}, 4)
    with pytest.raises(ValueError, match="multiple of 3"):
        image_differences({0: np.zeros(4, np.float32)}, {0: np.zeros(4, np.float32)}, 3)


@pytest.mark.parametrize("num_images", [40, 2000])
def test_the_bootstrap_interval_is_scipys(num_images: int, random: np.random.Generator) -> None:
    differences = random.exponential(1, num_images) - 0.5
    low, high = bootstrap(differences, "test")
    reference = scipy.stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=4000, rng=random).confidence_interval
    error = differences.std() / num_images**0.5
    assert [low, high] == pytest.approx(list(reference), abs=0.15 * error)  # 2,000 resamples give a percentile to 0.06 of it
    assert bootstrap(-differences, "test") == pytest.approx((-high, -low), abs=0.15 * error)


def test_the_bootstrap_covers_the_true_mean_as_often_as_it_says(random: np.random.Generator) -> None:
    held = 0
    for trial in range(200):
        low, high = bootstrap(random.normal(1, 3, 300), "coverage", trial, num_resamples=400)
        held += low <= 1 <= high
    assert 180 <= held <= 199


def test_the_bootstrap_is_repeatable_by_name_and_fast(random: np.random.Generator) -> None:
    differences = random.normal(0, 1, 10_000)
    started = time.process_time()
    first = bootstrap(differences, "reference", "psnr")
    assert time.process_time() - started < 3  # about 0.3 s
    assert first == bootstrap(differences, "reference", "psnr")
    assert first != bootstrap(differences, "reference", "accuracy")
