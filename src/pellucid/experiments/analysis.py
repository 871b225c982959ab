"""Statistical analysis of a comparison: every figure of every arm with its interval, and every paired difference."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.experiments.results import Cost, Result, Results
from pellucid.experiments.statistics import Estimate, Interval, bootstrap, estimate, image_differences, paired
from pellucid.metrics import FIGURES

METRICS = [name for name in FIGURES if name != "input_psnr"]
"""The metrics of an arm; the PSNR of the input is the same for all arms."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two arms in a metric: paired over seeds, and the bootstrap interval over images, `None` without per-image
    values."""

    over_seeds: Estimate
    over_images: Interval | None


Figures = Mapping[str, Mapping[str, Estimate]]
"""By track, then by metric."""

Differences = Mapping[str, Mapping[str, Difference]]
"""By track, then by metric."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The statistical analysis of `results`.

    figures: of the arms with a finished run; costs: means over their seeds; paired: by pair of arms, the first minus the second, over their
    common seeds; missing: arm and seed of planned runs that are not finished; incomplete: finished runs without a figure that their arm has
    with other seeds, or with non-finite outputs, as text; broken: arm and track of non-finite outputs.
    """

    results: Results
    figures: Mapping[str, Figures]
    costs: Mapping[str, Cost]
    paired: Mapping[tuple[str, str], Differences]
    missing: Sequence[tuple[str, int]]
    incomplete: Sequence[str]
    broken: Set[tuple[str, str]]


def analyse(results: Results) -> Analysis:
    """Compute all figures and differences of the finished runs."""
    arms, seeds = results.planned
    started = [arm for arm in arms if results.runs.get(arm)]
    pairs = {(arm, baseline): _differences(results, arm, baseline) for arm, baseline in results.pairs if arm in started}
    return Analysis(
        results=results,
        figures={arm: _figures(results, arm) for arm in started},
        costs={arm: _cost(list(results.runs[arm].values())) for arm in started},
        paired={pair: by_track for pair, by_track in pairs.items() if by_track},
        missing=[(arm, seed) for seed in seeds for arm in arms if seed not in results.runs.get(arm, {})],
        incomplete=[line for arm in started for line in _incomplete(results, arm)],
        broken={
            (arm, track)
            for arm in started
            for run in results.runs[arm].values()
            for track, metrics in run.metrics.items()
            if metrics.get("broken")
        },
    )


def by_seed(results: Results, arm: str, track: str, metric: str, level: str | None = None) -> dict[int, float]:
    """A figure of each finished run, in the order of the seeds; level: of the track's damage, or group of levels, `None` for the mean."""
    values = {}
    for seed in results.planned[1]:
        if result := results.runs.get(arm, {}).get(seed):
            scores: dict[str, Any] = result.metrics.get(track, {})
            if level is not None:
                scores = (scores.get("groups") or scores.get("levels", {})).get(level, {})
            value = scores.get(metric)
            if value is not None and math.isfinite(value):
                values[seed] = float(value)
    return values


def differences_of_images(results: Results, arm: str, baseline: str, track: str, column: str) -> NDArray[np.float64]:
    """`arm - baseline` of each image in a column of `Result.per_image`, the mean over the seeds and levels that both have: (N,).

    NaN for images without a value; empty if the two share no seed with that column.
    """
    one, other = (
        {
            seed: result.per_image[track][column]
            for seed, result in results.runs.get(name, {}).items()
            if column in result.per_image.get(track, {})
        }
        for name in (arm, baseline)
    )
    if not one.keys() & other.keys():
        return np.empty(0)
    num_images = next(result.metrics[track]["num_images"] for result in results.runs[arm].values())
    return image_differences(one, other, num_images)


def _figures(results: Results, arm: str) -> Figures:
    values = {track: {metric: by_seed(results, arm, track, metric) for metric in METRICS} for track in results.tracks}
    return {
        track: {metric: estimate(list(seeds.values())) for metric, seeds in by_metric.items() if seeds}
        for track, by_metric in values.items()
    }


def _incomplete(results: Results, arm: str) -> Iterator[str]:
    for track in results.tracks:
        for metric in METRICS:
            values = by_seed(results, arm, track, metric)
            for seed in results.runs[arm].keys() - values.keys() if values else ():
                yield f"{arm} with seed {seed} has no {FIGURES[metric].heading} on track “{track}”"
        for seed, run in results.runs[arm].items():
            if broken := run.metrics.get(track, {}).get("broken"):
                yield f"{arm} with seed {seed} has {broken:,} outputs on track “{track}” that are not finite and count as misclassified"


def _differences(results: Results, arm: str, baseline: str) -> Differences:
    differences: dict[str, dict[str, Difference]] = {}
    compared = {metric: figure for metric, figure in FIGURES.items() if figure.compared}
    for track, (metric, figure) in product(results.tracks, compared.items()):
        over_seeds = paired(by_seed(results, arm, track, metric), by_seed(results, baseline, track, metric))
        if not over_seeds:
            continue
        over_images = None
        if figure.paired:  # seeded by track and metric, not by the arms, so that all pairs use the same resamples
            column = differences_of_images(results, arm, baseline, track, figure.column)
            over_images = bootstrap(figure.scale * column, track, metric)
        differences.setdefault(track, {})[metric] = Difference(over_seeds, over_images)
    return differences


def _cost(runs: Sequence[Result]) -> Cost:
    timed = [run.cost.seconds_per_image for run in runs if run.cost.seconds_per_image is not None]
    seconds = fmean(run.cost.training_seconds for run in runs)
    return replace(runs[0].cost, training_seconds=seconds, seconds_per_image=fmean(timed) if timed else None)
