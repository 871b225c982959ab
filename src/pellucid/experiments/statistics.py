"""Means, paired differences and confidence intervals, over seeds and over images.

The interval over seeds estimates how a mean would vary if all networks were trained again; that over images, how it would vary on other
images with the same networks. A claim about a method requires the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from pellucid.seeding import seed_of

LEVEL = 0.95
"""Confidence level of the intervals."""

NUM_RESAMPLES = 2000

CHUNK = 1 << 20
"""Number of images drawn at a time, over several resamples: 8 MB."""

NOTHING = "–"
"""Text of a figure that is not known."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its confidence interval, which is `None` for a single seed.

    values: of the seeds, in order.
    """

    mean: float
    interval: Interval | None
    values: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """The estimate as plain values."""
        return {"mean": self.mean, "ci95": self.interval and list(self.interval), "values": list(self.values)}

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2

    @property
    def sign(self) -> int:
        """1 where the interval lies above 0, -1 where it lies below, 0 where it contains 0 or there is none."""
        return 0 if self.interval is None else int(self.interval[0] > 0) - int(self.interval[1] < 0)


def signed(number: float, spec: str) -> str:
    """A number with its sign, without one for 0."""
    text = format(number, f"+{spec}")
    return text if float(text) else text[1:]


def signed_interval(interval: Interval | None, spec: str) -> str:
    """An interval as text, its ends with their signs.

    >>> signed_interval((-0.001, 2.5), ".2f"), signed_interval(None, ".2f")
    ('[0.00, +2.50]', '–')
    """
    return NOTHING if interval is None else f"[{signed(interval[0], spec)}, {signed(interval[1], spec)}]"


def estimate(values: Sequence[float], num_independent: float | None = None) -> Estimate:
    """The mean of one value a seed, at least one, with Student's t interval.

    num_independent: number of independent values with the same variance of the mean, if it is not that of `values`.

    >>> estimate([1.0, 2.0, 3.0])
    Estimate(mean=2.0, interval=(-0.484..., 4.484...), values=(1.0, 2.0, 3.0))
    """
    if not values:
        raise ValueError("Expected the value of at least one seed, found none; leave the figure out.")
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return Estimate(mean, None, tuple(values))
    half = float(stdtrit(len(sample) - 1, (1 + LEVEL) / 2) * sample.std(ddof=1)) / sqrt(num_independent or len(sample))
    return Estimate(mean, (mean - half, mean + half), tuple(values))


def paired(one: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
    """The mean of `one - other` over the seeds that both have, with the t interval of the differences; `None` where they share none.

    one, other: a value by seed. Runs of one seed saw the same images and damage, whose effect cancels out.
    """
    differences = [one[seed] - other[seed] for seed in one if seed in other]
    return estimate(differences) if differences else None


def image_differences(
    one: Mapping[int, NDArray[np.float32]], other: Mapping[int, NDArray[np.float32]], num_images: int
) -> NDArray[np.float64]:
    """`one - other` of each image, the mean over levels and over the seeds that both have: (num_images,), in the order of the data set.

    one, other: a column by seed, (levels * num_images,), level by level. NaN in either of the two leaves a value out; an image that has
    none left is NaN.
    """
    shared = [seed for seed in one if seed in other]
    if not shared:
        return np.full(num_images, np.nan)
    sizes = {column.size for by_seed in (one, other) for seed, column in by_seed.items() if seed in shared}
    if len(sizes) > 1 or min(sizes) % num_images:
        raise ValueError(f"Expected columns of one size, a multiple of {num_images:,} images, found sizes {sorted(sizes)}.")
    columns = np.stack([one[seed].astype(np.float64) - other[seed] for seed in shared]).reshape(-1, num_images)
    known = ~np.isnan(columns)
    counts = known.sum(axis=0)
    sums = np.where(known, columns, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts)  # 0 / 0 is NaN


def bootstrap(differences: NDArray[np.float64], *names: str | int, num_resamples: int = NUM_RESAMPLES) -> Interval | None:
    """The bootstrap percentile interval of the mean over images; `None` without images.

    differences: (N,), see `image_differences`; NaN is ignored. names: seed of the random numbers, see `seed_of`.
    """
    known = differences[~np.isnan(differences)]
    if not known.size:
        return None
    random = np.random.default_rng(seed_of("bootstrap", *names))
    means = np.empty(num_resamples)
    rows = max(1, CHUNK // known.size)
    for start in range(0, num_resamples, rows):
        part = means[start : start + rows]
        part[:] = known[random.integers(known.size, size=(len(part), known.size), dtype=np.int32)].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
