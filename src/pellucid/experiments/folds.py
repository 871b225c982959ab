"""Cross-validation: every arm is trained once for each part of the data, on all other parts, and evaluated on that one.

Every picture is evaluated by networks that were not trained on it. Two kinds of interval are computed: that over pictures
estimates how a figure would vary on as many other pictures of the same kind with the same networks, that over folds how it would vary with
other training pictures.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import mannwhitneyu

from pellucid.errors import UserError
from pellucid.experiments.analysis import by_seed
from pellucid.experiments.comparison import Comparison
from pellucid.experiments.results import Results
from pellucid.experiments.statistics import LEVEL, Estimate, Interval, bootstrap, estimate
from pellucid.metrics import FIGURES, MAX_PSNR
from pellucid.recipe import changed

Column = NDArray[np.float64]

PSNRS = ("psnr", "input_psnr")
"""Figures that only damaged pictures have."""


def in_folds(comparison: Comparison, folds: int) -> dict[int, Comparison]:
    """The comparison with each of `folds` parts of its pictures as the test set; raises `UserError` for other data."""
    data = comparison.base.data
    if folds < 2:
        raise UserError(f"Expected at least 2 folds, found {folds}; 5 is usual.")
    for name in ("validation", "validation_share"):
        if value := getattr(data, name):
            raise UserError(f"Expected a cross-validation to measure the test parts, found data.{name} {value}; set it to 0.")
    by_fold = {fold: replace(comparison, base=changed(comparison.base, {"data.folds": folds, "data.fold": fold})) for fold in range(folds)}
    for varied in by_fold.values():  # errors of all folds are reported before the first training
        if varied.base.data.splits().validation is not None:
            raise UserError(f"Expected pictures without splits of their own in {data.dataset}, found validation images; join the parts.")
    return by_fold


def wilson(num_right: float, number: int) -> Interval:
    """The interval of a share (Wilson 1927), from 0 to 1; unlike the normal one it holds for few images and for shares near 0 and 1.

    >>> wilson(8, 10)
    (0.490..., 0.943...)
    """
    share, z = num_right / number, float(ndtri((1 + LEVEL) / 2))
    centre, spread = share + z**2 / (2 * number), z * sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return max(0.0, (centre - spread) / (1 + z**2 / number)), min(1.0, (centre + spread) / (1 + z**2 / number))


def over_folds(values: Sequence[float], num_folds: int) -> Estimate:
    """The mean of one value a fold, of all or some of `num_folds`, with an interval that allows for training images that folds share.

    Student's t with the variance of Nadeau and Bengio (2003), (1 / N + 1 / (K - 1)) s^2 for N values and K folds: any two of them train on
    mostly the same images, so s^2 / N would be too small.

    >>> over_folds([1.0, 2.0, 3.0], 3)
    Estimate(mean=2.0, interval=(-1.927..., 5.927...), values=(1.0, 2.0, 3.0))
    """
    return estimate(values, 1 / (1 / len(values) + 1 / (num_folds - 1)))


def auroc(scores: Column, positive: NDArray[np.bool_]) -> float | None:
    """The probability that a positive image has the higher score than a negative one, ties counted half; `None` without both kinds.

    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_negative:
        return None
    pairs = mannwhitneyu(scores[positive], scores[~positive], method="asymptotic").statistic  # in which the positive one is ahead
    return float(pairs / (num_positive * num_negative))


@dataclass(frozen=True, slots=True)
class Folds:
    """The results of all folds, by fold. A fold in which an arm has no finished run is left out for that arm."""

    results: Mapping[int, Results]

    @property
    def arms(self) -> list[str]:
        """The arms with a finished run in any fold."""
        return [arm for arm in self._any.planned[0] if any(results.runs.get(arm) for results in self.results.values())]

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks on which the arms are evaluated."""
        return self._any.tracks

    @property
    def classes(self) -> list[str]:
        """The names of the classes; empty without a finished run."""
        return next((run.classes for results in self.results.values() for runs in results.runs.values() for run in runs.values()), [])

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The compared arms and their baselines, of those with a finished run."""
        return tuple(pair for pair in self._any.pairs if set(pair) <= set(self.arms))

    @property
    def _any(self) -> Results:
        return next(iter(self.results.values()))

    def measured(self, track: str) -> dict[str, Any]:
        """Data set, split and number of images of the evaluation, over all folds."""
        each = [images for results in self.results.values() if (images := results.measured(track))]
        return (each[0] if each else {}) | {"num_images": sum(images["num_images"] for images in each)}

    def is_broken(self, arm: str, track: str) -> bool:
        """Whether any output of an arm is not finite."""
        runs = (run for results in self.results.values() for run in results.runs.get(arm, {}).values())
        return any(run.metrics.get(track, {}).get("broken") for run in runs)

    @property
    def missing(self) -> list[str]:
        """Planned runs that are not finished, in words."""
        return [
            f"{arm} in fold {fold} with seed {seed}: {results.failures.get((arm, seed), 'not finished')}"
            for fold, results in self.results.items()
            for arm in results.planned[0]
            for seed in results.planned[1]
            if seed not in results.runs.get(arm, {})
        ]

    def by_fold(self, arm: str, track: str, metric: str) -> dict[int, float]:
        """A figure in each fold, the mean over its seeds; PSNR as in `columns`."""
        if metric in PSNRS and len(self.columns(arm, track, metric)):
            columns = {fold: self.columns(arm, track, metric, [fold]) for fold in self.results}
            return {fold: float(np.nanmean(column)) for fold, column in columns.items() if not np.isnan(column).all()}
        by_fold = {fold: list(by_seed(results, arm, track, metric).values()) for fold, results in self.results.items()}
        return {fold: float(np.mean(values)) for fold, values in by_fold.items() if values}

    def estimate(self, arm: str, track: str, metric: str) -> Estimate | None:
        """A figure over the folds."""
        values = self.by_fold(arm, track, metric)
        return over_folds(list(values.values()), len(self.results)) if values else None

    def difference(self, arm: str, baseline: str, track: str, metric: str) -> Estimate | None:
        """A figure of an arm minus that of its baseline, over the folds that both have."""
        one, other = self.by_fold(arm, track, metric), self.by_fold(baseline, track, metric)
        differences = [one[fold] - other[fold] for fold in one if fold in other]
        return over_folds(differences, len(self.results)) if differences else None

    def auroc(self, arm: str, track: str) -> Estimate | None:
        """Area under the ROC curve of the second of two classes, over the folds: networks of two folds need not agree on a threshold."""
        if len(self.classes) != 2:
            return None
        areas = []
        for fold in self.results:
            columns = {name: self.columns(arm, track, name, [fold]) for name in ("label", "predicted", "confidence")}
            if all(map(len, columns.values())):
                known = (columns["label"] >= 0) & np.isfinite(columns["predicted"])
                label, predicted, confidence = (columns[name][known] for name in ("label", "predicted", "confidence"))
                area = auroc(np.where(predicted == 1, confidence, 1 - confidence), label == 1)
                areas += [] if area is None else [area]
        return over_folds(areas, len(self.results)) if areas else None

    def columns(self, arm: str, track: str, name: str, folds: Sequence[int] | None = None) -> Column:
        """A column of `Result.per_image` for all pictures, fold after fold, the mean over seeds and levels; empty where none has it.

        `predicted` and `confidence` are those of the first seed and level: a mean of classes is meaningless. PSNR is NaN for the
        undamaged pictures of a track with others: their 100 dB would dominate the mean.
        """
        column = self._column(arm, track, name, self.results if folds is None else folds)
        whole = self._column(arm, track, "input_psnr", self.results) if name in PSNRS else np.empty(0)
        if len(column) and (whole < MAX_PSNR).any():
            undamaged = self._column(arm, track, "input_psnr", self.results if folds is None else folds) >= MAX_PSNR
            return np.where(undamaged, np.nan, column)
        return column

    def _column(self, arm: str, track: str, name: str, folds: Iterable[int]) -> Column:
        parts = []
        for fold in folds:
            runs = self.results[fold].runs.get(arm, {}).values()
            each = [
                run.per_image[track][name].astype(np.float64).reshape(-1, run.metrics[track]["num_images"])
                for run in runs
                if name in run.per_image.get(track, {})
            ]
            if each:
                parts.append(each[0][0] if name in ("label", "predicted", "confidence") else np.concatenate(each).mean(axis=0))
        return np.concatenate(parts) if parts else np.empty(0)

    def over_pictures(self, arm: str, track: str, metric: str) -> tuple[float, Interval] | None:
        """A figure over all pictures with its interval: Wilson's where each is right or wrong, else the bootstrap; `None` if not kept."""
        figure = FIGURES[metric]
        values = self.columns(arm, track, figure.column) if figure.paired or metric in PSNRS else np.empty(0)
        values = values[~np.isnan(values)]
        if not len(values):
            return None
        if metric == "accuracy" and set(values.tolist()) <= {0.0, 1.0}:
            low, high = wilson(float(values.sum()), len(values))
            return 100 * float(values.mean()), (100 * low, 100 * high)
        interval = bootstrap(figure.scale * values, track, metric)
        return None if interval is None else (figure.scale * float(values.mean()), interval)

    def difference_over_pictures(self, arm: str, baseline: str, track: str, metric: str) -> Interval | None:
        """The bootstrap interval of the difference, paired by picture, in the folds that both have; `None` without these or a column."""
        figure = FIGURES[metric]
        shared = [fold for fold, results in self.results.items() if results.runs.get(arm) and results.runs.get(baseline)]
        one, other = (self.columns(name, track, figure.column, shared) for name in (arm, baseline))
        return bootstrap(figure.scale * (one - other), track, metric) if figure.paired and len(one) == len(other) > 0 else None

    def by_class(self, arm: str, track: str) -> Iterator[tuple[str, int, float, Interval]]:
        """For each class: its name, its number of pictures, the fraction that is classified correctly, and Wilson's interval of it."""
        label, right = (self.columns(arm, track, name) for name in ("label", "correct"))
        for number, name in enumerate(self.classes if len(label) == len(right) else ()):
            values = right[label == number]
            if len(values):
                yield name, len(values), float(values.mean()), wilson(float(values.sum()), len(values))

    def most_frequent(self, track: str) -> tuple[str, float] | None:
        """The most frequent class, and its fraction of the labelled pictures: the accuracy of always predicting it."""
        label = next((column for arm in self.arms if len(column := self.columns(arm, track, "label"))), np.empty(0))
        label = label[label >= 0].astype(int)
        if not len(label):
            return None
        counts = np.bincount(label)
        return self.classes[int(counts.argmax())], float(counts.max() / len(label))
