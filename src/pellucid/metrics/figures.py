"""The table of metrics: name, unit, format, meaning and computation of each, in one entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.metrics.classification import correct
from pellucid.metrics.damage import damage_correct, mask_iou, strength_error
from pellucid.metrics.psnr import input_psnr, mask_psnr, psnr
from pellucid.metrics.ssim import ssim

Columns = Mapping[str, Tensor]
"""Per-image values by name: (N,) float32, NaN where undefined."""

NUM_BINS = 15
"""Number of equal-width bins of the expected calibration error."""

BROKEN_MARK = "*"
"""Marks figures of a model some of whose outputs are not finite."""

BROKEN_NOTE = "outputs are not finite: they count as misclassified, and are excluded from all other figures"
"""Explanation of the mark, after the number of outputs."""


def mean(column: Tensor) -> float | None:
    """The mean of the finite values, in float64; `None` if there are none."""
    known = column[column.isfinite()]
    return known.double().mean().item() if len(known) else None


def bin_of(confidence: Tensor) -> Tensor:
    """The bin of each confidence, (N,) in [0, 1]; a boundary belongs to the higher bin, 1 to the last one."""
    return (confidence * NUM_BINS).long().clamp(max=NUM_BINS - 1)


def calibration_error(columns: Columns) -> float | None:
    """Expected calibration error (Guo et al. 2017) of the most probable class, over the labelled images; `None` if there are none."""
    if "correct" not in columns:
        return None
    known = ~columns["correct"].isnan() & ~columns["confidence"].isnan()
    if not known.any():
        return None
    confidence = columns["confidence"][known]
    excess = confidence.double() - columns["correct"][known]
    return float(excess.new_zeros(NUM_BINS).index_add_(0, bin_of(confidence), excess).abs().sum()) / len(confidence)


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric.

    heading: of its column, with the unit; spec: format specification; meaning: in a sentence. column, measure: the per-image value that is
    averaged, a name and a function (output, batch) -> (B,) float32, NaN where undefined for an image, `None` where undefined for all;
    scale: factor of that mean; compute: for a metric that is not a mean, its value over all images. difference: unit of a difference; task:
    the task whose main metric it is; compared: models are compared by it; paired: the per-image values are kept for paired tests; card:
    included in model cards; explained: its meaning is also printed below tables.
    """

    heading: str
    spec: str
    meaning: str
    column: str = ""
    measure: Callable[[Output, Batch], Tensor | None] | None = None
    scale: float = 1.0
    compute: Callable[[Columns], float | None] | None = None
    difference: str = ""
    task: Literal["classification", "restoration"] | None = None
    compared: bool = False
    paired: bool = False
    card: bool = False
    explained: bool = False

    def of(self, columns: Columns) -> float | None:
        """The metric over all images; `None` where it is undefined for all of them."""
        if self.compute is not None:
            return self.compute(columns)
        value = mean(columns[self.column]) if self.column in columns else None
        return None if value is None else self.scale * value


FIGURES: dict[str, Figure] = {
    "accuracy": Figure(
        "accuracy %",
        ".2f",
        "Top-1 accuracy: the percentage of pictures whose class is predicted correctly.",
        "correct",
        correct,
        scale=100,
        difference="points",
        task="classification",
        compared=True,
        paired=True,
        card=True,
    ),
    "ece": Figure(
        "ECE",
        ".4f",
        "Expected calibration error: the mean absolute difference between confidence and accuracy, over bins of confidence; 0 is best.",
        compute=calibration_error,
        card=True,
        explained=True,
    ),
    "psnr": Figure(
        "PSNR dB",
        ".2f",
        "Peak signal-to-noise ratio against the clean picture; identical pictures count as 100 dB.",
        "psnr",
        psnr,
        difference="dB",
        task="restoration",
        compared=True,
        paired=True,
        card=True,
    ),
    "mask_psnr": Figure(
        "mask PSNR",
        ".2f",
        "PSNR over the destroyed pixels only.",
        "mask_psnr",
        mask_psnr,
        compared=True,
        paired=True,
        card=True,
        explained=True,
    ),
    "ssim": Figure(
        "SSIM",
        ".4f",
        "Structural similarity to the clean picture; 1 is identical.",
        "ssim",
        ssim,
        compared=True,
        card=True,
    ),
    "input_psnr": Figure("input PSNR", ".2f", "PSNR of the damaged picture.", "input_psnr", input_psnr, card=True),
    "damage_correct": Figure(
        "damage accuracy %",
        ".2f",
        "The percentage of pictures for which the presence of every kind of damage is predicted correctly.",
        "damage_correct",
        damage_correct,
        scale=100,
    ),
    "strength_error": Figure(
        "strength error",
        ".3f",
        "Relative error of the estimated strength of the damage.",
        "strength_error",
        strength_error,
    ),
    "mask_iou": Figure(
        "mask IoU",
        ".3f",
        "Intersection over union of the predicted and the true destroyed pixels; 1 is perfect.",
        "mask_iou",
        mask_iou,
    ),
}
"""By name, in the order of all tables. New metrics are added here only."""

TASKS = {figure.task: name for name, figure in FIGURES.items() if figure.task}
"""The main metric of each task."""


def figure_text(scores: Mapping[str, Any], name: str, nothing: str = "-") -> str:
    """A figure as text, with a mark if some outputs are not finite; nothing: text of an undefined figure."""
    value = scores.get(name)
    return nothing if value is None else format(value, FIGURES[name].spec) + BROKEN_MARK * bool(scores.get("broken"))
