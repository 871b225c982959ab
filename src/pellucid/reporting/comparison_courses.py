"""Training curves of a comparison: records of `log.jsonl` -> means over seeds, by the fraction of the training."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.experiments.statistics import Estimate, estimate
from pellucid.reporting.curves import smoothed, smoothing

Records = Sequence[Mapping[str, Any]]

COSINE = "gradient_cosine"
"""Key of the records that hold, by layer, the cosine between the gradients of the two tasks."""

NUM_POINTS = 60
"""Number of points of a mean over seeds, similar to the number of records of a run."""

Course = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Progress of the training, from 0 to 1, and the values: (P,) each."""


def course(logs: Mapping[int, Records], name: str) -> Course | None:
    """A smoothed quantity of single batches, the mean over seeds in their common range; `None` if it was not recorded."""
    return _mean([[(record["progress"], record[name]) for record in records if _finite(record, name)] for records in logs.values()])


def layers(logs: Mapping[int, Records]) -> list[str]:
    """The layers whose gradients were compared, in the order of the network."""
    return list(dict.fromkeys(layer for records in logs.values() for record in records for layer in record.get(COSINE, {})))


def cosine_course(logs: Mapping[int, Records], layer: str) -> Course | None:
    """The cosine between the two tasks' gradients in a layer, the mean over the seeds; `None` if it was not recorded."""
    return _mean([_cosines(records, layer) for records in logs.values()], window=1)


def cosine_thirds(logs: Mapping[int, Records], layer: str) -> tuple[Estimate | None, Estimate | None]:
    """The mean of the cosine in the first and in the last third of the training, over seeds; `None` without records."""

    def mean(start: float, end: float) -> Estimate | None:
        parts = ([value for done, value in _cosines(records, layer) if start <= done <= end] for records in logs.values())
        means = [fmean(part) for part in parts if part]
        return estimate(means) if means else None

    return mean(0, 1 / 3), mean(2 / 3, 1)


def _cosines(records: Records, layer: str) -> list[tuple[float, float]]:
    return [(record["progress"], record[COSINE][layer]) for record in records if _finite(record.get(COSINE, {}), layer)]


def _finite(record: Mapping[str, Any], name: str) -> bool:
    return math.isfinite(record.get(name, math.nan))


def _mean(seeds: Sequence[Sequence[tuple[float, float]]], window: int | None = None) -> Course | None:
    """The mean of curves over seeds; window: number of records to smooth over, default `smoothing`."""
    curves = [np.array(points, dtype=np.float64).T for points in seeds if points]
    if not curves:
        return None
    start, end = max(done[0] for done, _ in curves), min(done[-1] for done, _ in curves)
    grid = np.linspace(start, max(start, end), NUM_POINTS) if end > start else np.array([start])
    values = [np.interp(grid, done, smoothed(values, window or smoothing(len(values)))) for done, values in curves]
    return grid, np.mean(values, axis=0)
