"""Training curves of a run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pellucid.reporting.drawing import PLACEHOLDERS, chart, chart_grid, draw_svg

NUM_WINDOWS = 25
"""Noisy curves are smoothed over 1 / NUM_WINDOWS of their records; curves with fewer than twice as many are not smoothed."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity of the training log: its title, its unit, and the style sheet's variable of its colour."""

    title: str
    unit: str
    colour: str


# fmt: off
CURVES = {
    #                             title                  unit                                    colour
    "classification_loss":  Curve("Classification loss", "cross-entropy",                        "naming"),
    "accuracy":             Curve("Accuracy",            "% of a batch",                         "naming"),
    "restoration_loss":     Curve("Restoration loss",    "as the recipe has it",                 "restoring"),
    "psnr":                 Curve("PSNR",                "dB, mean of a batch",                  "restoring"),
    "loss":                 Curve("Joint loss",          "classification + weight × restoration", "ink"),
    "learning_rate_factor": Curve("Learning rate",       "relative to the recipe’s",             "ink"),
}
# fmt: on
"""The curves of a training by their name in the log."""


def curves(records: Sequence[Mapping[str, Any]], reached: Mapping[str, float | None], split: str) -> Markup:
    """A chart for each recorded quantity; reached: final values on a split, drawn as dashed lines."""
    return chart_grid(_chart(name, points, reached.get(name), split) for name, points in _recorded(records))


def smoothing(num_records: int) -> int:
    """Number of neighbouring records over which a noisy curve is averaged; 1 for no smoothing."""
    return max(1, num_records // NUM_WINDOWS)


def _recorded(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """The finite (step, value) pairs of each quantity."""
    both_tasks = any("classification_loss" in record and "restoration_loss" in record for record in records)
    for name in CURVES:
        points = [(record["step"], record[name]) for record in records if math.isfinite(record.get(name, math.nan))]
        if points and (name != "loss" or both_tasks):  # for a single task, it equals that task's loss
            yield name, points


def _chart(name: str, points: Sequence[tuple[int, float]], reached: float | None, split: str) -> Markup:
    curve = CURVES[name]
    steps, values = np.array(points).T
    window = 1 if name == "learning_rate_factor" else smoothing(len(values))
    colour = PLACEHOLDERS[curve.colour]

    def plot(figure: Figure) -> None:
        axes = figure.add_subplot()
        if window > 1:
            axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
        axes.plot(steps, smoothed(values, window), color=colour, linewidth=1.8, marker="o" if len(values) == 1 else "")
        if reached is not None:
            axes.axhline(reached, color=colour, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                f"{split} {reached:.1f}",
                (0.01, reached),
                (0, 3),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="left",
                va="bottom",
            )
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.margins(x=0.01)

    label = f"{curve.title}: from {values[0]:.4g} at step {steps[0]:.0f} to {values[-1]:.4g} at step {steps[-1]:.0f}"
    return chart(curve.title, curve.unit, draw_svg(plot, label, salt=name))


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Moving average over `window` neighbours, fewer at both ends."""
    ones = np.ones(window)
    return np.convolve(values, ones, "same") / np.convolve(np.ones_like(values), ones, "same")
