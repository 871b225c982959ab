"""The figures that a model is measured by: one row has all that tables, reports and comparisons know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error

from pellucid.batch import Batch, Output
from pellucid.metrics.classification import correct
from pellucid.metrics.damage import damage_correct, hole_iou, strength_error
from pellucid.metrics.psnr import hole_psnr, input_psnr, psnr
from pellucid.metrics.ssim import ssim

Columns = Mapping[str, Tensor]
"""What was measured of each image, by name: (N,) float32, NaN where it has no meaning."""

NUM_BINS = 15
"""Bins of equal width of the expected calibration error."""


def mean(column: Tensor) -> float | None:
    """The mean in float64 over what isn't NaN."""
    known = column[~column.isnan()]
    return known.double().mean().item() if len(known) else None


def calibration_error(columns: Columns) -> float | None:
    """Expected calibration error of the most probable class, over the images with a label; `None` where there is none."""
    if "correct" not in columns:
        return None
    known = ~columns["correct"].isnan() & ~columns["confidence"].isnan()
    if not known.any():
        return None
    right, confidence = columns["correct"][known].long(), columns["confidence"][known]
    return float(binary_calibration_error(confidence, right, n_bins=NUM_BINS, norm="l1"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    heading: of its column, with the unit; spec: how it is printed; meaning: in a sentence. column, measure: what of each image it is the
    mean of, a name and a function (output, batch) -> (B,) float32, NaN where it has no meaning, `None` where nothing can have; scale: what
    that mean is multiplied by; compute: the figure of all images, where it is no mean. difference: unit of a difference; task: the task
    that is judged by it; compared: models are compared in it; paired: the values of each image are kept for paired tests; card: it stands
    in model cards; explained: its meaning stands below tables, too.
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
        """The figure of all images; `None` where it has no meaning for any of them."""
        if self.compute is not None:
            return self.compute(columns)
        value = mean(columns[self.column]) if self.column in columns else None
        return None if value is None else self.scale * value


FIGURES: dict[str, Figure] = {
    "accuracy": Figure(
        "accuracy %",
        ".2f",
        "The part of the pictures whose class is named right.",
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
        "Expected calibration error: how far the stated confidence is from the part that is right; 0 can be trusted, 1 never.",
        compute=calibration_error,
        card=True,
        explained=True,
    ),
    "psnr": Figure(
        "PSNR dB",
        ".2f",
        "How near a picture is to the clean one, pixel by pixel: 3 dB more is half the squared error, 100 dB is identical.",
        "psnr",
        psnr,
        difference="dB",
        task="restoration",
        compared=True,
        paired=True,
        card=True,
    ),
    "hole_psnr": Figure(
        "hole PSNR",
        ".2f",
        "PSNR over the destroyed pixels alone, whose content has to be guessed.",
        "hole_psnr",
        hole_psnr,
        compared=True,
        paired=True,
        card=True,
        explained=True,
    ),
    "ssim": Figure(
        "SSIM",
        ".4f",
        "How alike the structures of a picture and of the clean one are; 1 is identical.",
        "ssim",
        ssim,
        compared=True,
        card=True,
    ),
    "input_psnr": Figure("input PSNR", ".2f", "PSNR of the damaged picture itself.", "input_psnr", input_psnr, card=True),
    "damage_correct": Figure(
        "damage accuracy %",
        ".2f",
        "The part of the pictures for which it is named right what was done to them, each kind of damage counted.",
        "damage_correct",
        damage_correct,
        scale=100,
    ),
    "strength_error": Figure(
        "strength error",
        ".3f",
        "How far the estimated strength of a damage is off, as a part of the true one.",
        "strength_error",
        strength_error,
    ),
    "hole_iou": Figure(
        "hole IoU",
        ".3f",
        "The pixels rightly said to be destroyed, over all that are destroyed or said to be; 1 is the very hole.",
        "hole_iou",
        hole_iou,
    ),
}
"""By name, in the order of all tables. Whoever adds a figure adds it here, and to no other table."""

TASKS = {figure.task: name for name, figure in FIGURES.items() if figure.task}
"""The figure that a task is judged by."""
