"""Figures of the reliability of predictions, from the per-image values of `trust.measure_trust`."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.evaluation.calibration import CEILING
from pellucid.evaluation.ranking import rank_correlation, risk_coverage, sparsification_error
from pellucid.metrics import NUM_BINS, Columns
from pellucid.metrics.figures import bin_of, calibration_error, mean

THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Thresholds of the confidence for abstention, in the table."""

NUM_STRENGTHS = 5
"""Maximum number of bins for strengths that are drawn from a range."""

MIN_IMAGES_PER_STRENGTH = 20
"""Minimum number of images of such a bin."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Measured reliability; `columns` and `clean` hold a value for each image, (N,) or (N, NUM_CUTS), on the CPU.

    strengths: of each kind of damage, NaN where an image does not have it.
    """

    track: str
    dataset: str
    split: str
    num_images: int
    temperature: float
    fitted: str
    classes: tuple[str, ...]
    columns: Columns = field(repr=False)
    clean: Columns = field(repr=False)
    strengths: Columns = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """All figures; parts without a head in the network, or without images, are omitted."""
        measured = {"track": self.track, "dataset": self.dataset, "split": self.split, "num_images": self.num_images}
        parts = {
            "confidence": self.confidence(),
            "abstention": self.abstention(),
            "confusion": self.confusion(),
            "gate": self.gate(),
            "uncertainty": self.uncertainty(),
            "alarm": self.alarm(),
            "unfamiliar": self.unfamiliar(),
            "strengths": self.by_strength(),
        }
        return {**measured, **{name: part for name, part in parts.items() if part}}

    def _labelled(self, *names: str) -> list[Tensor] | None:
        """Columns of the images with a label and finite outputs; `None` without such images, or without one of the columns."""
        if not self.columns.keys() >= {"correct", "confidence", *names}:
            return None
        known = ~self.columns["correct"].isnan() & self.columns["confidence"].isfinite()
        return [self.columns[name][known] for name in names] if known.any() else None

    def confidence(self) -> dict[str, Any]:
        """Calibration error without and with the temperature, and the bins of the reliability diagram."""
        columns = self._labelled("raw_confidence", "confidence", "correct")
        if columns is None:
            return {}
        raw, confidence, correct = columns
        before, after = (calibration_error({"correct": correct, "confidence": each}) for each in (raw, confidence))
        bin_index = bin_of(confidence)
        bins = [
            {
                "from": number / NUM_BINS,
                "to": (number + 1) / NUM_BINS,
                "num_images": int(inside.sum()),
                "confidence": float(confidence[inside].double().mean()),
                "accuracy": 100 * float(correct[inside].double().mean()),
            }
            for number in range(NUM_BINS)
            if (inside := bin_index == number).any()
        ]
        return {"temperature": self.temperature, "fitted": self.fitted, "ece_before": before, "ece": after, "bins": bins}

    def abstention(self) -> dict[str, Any]:
        """Area under the curve of risk against coverage, that curve at 101 points, and the figures of `THRESHOLDS`."""
        columns = self._labelled("confidence", "correct")
        if columns is None:
            return {}
        confidence, correct = columns
        risk = risk_coverage(confidence, correct)
        positions = torch.linspace(0, len(risk) - 1, min(len(risk), 101)).round().long()
        rows = []
        for threshold in THRESHOLDS:
            kept = confidence >= threshold
            accuracy = 100 * float(correct[kept].double().mean()) if kept.any() else None
            rows.append({"abstain_below": threshold, "coverage": float(kept.double().mean()), "accuracy": accuracy})
        curve = {"coverage": ((positions + 1) / len(risk)).tolist(), "risk": risk[positions].tolist()}
        return {"aurc": float(risk.mean()), "thresholds": rows, "curve": curve}

    def confusion(self) -> list[dict[str, Any]]:
        """Number of images by true and predicted class, right predictions among them; the most frequent pairs first, without those that do
        not occur: of thousands of classes, a table would fill the memory."""
        columns = self._labelled("label", "predicted")
        if columns is None:
            return []
        pairs, counts = np.unique(torch.stack(columns, dim=1).long().numpy(), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [
            {"true": self.classes[true], "predicted": self.classes[predicted], "num_images": count}
            for (true, predicted), count in zip(pairs[order].tolist(), counts[order].tolist(), strict=True)
        ]

    def gate(self) -> dict[str, Any]:
        """Fractions of undamaged and damaged images that are left unchanged, and their PSNR (at most `CEILING`) without and with the
        gate."""
        if "left" not in self.columns:
            return {}
        damaged = self.columns["input_psnr"] < CEILING
        parts = {"clean": self.clean, "damaged": {name: column[damaged] for name, column in self.columns.items()}}
        return {
            f"{part}_{name}": value
            for part, columns in parts.items()
            if len(columns["left"])
            for name, value in {
                "left": float(columns["left"].double().mean()),
                "psnr_without_gate": mean(columns["psnr"].clamp(max=CEILING)),
                "psnr": mean(torch.where(columns["left"] > 0, columns["input_psnr"], columns["psnr"]).clamp(max=CEILING)),
            }.items()
        }

    def uncertainty(self) -> dict[str, Any]:
        """How well the estimated error ranks the pixels of an image, and whole images, by their true absolute error."""
        if "rank" not in self.columns:
            return {}
        guess, oracle = (self.columns[name].nanmean(dim=0) for name in ("by_guess", "by_error"))
        mean_guess, mean_error = self.columns["guess"], self.columns["by_error"][:, 0]
        return {
            "rank_correlation": mean(self.columns["rank"]),
            "sparsification_error": sparsification_error(guess, oracle),
            "rank_correlation_of_images": mean(rank_correlation(mean_guess[None, None], mean_error[None, None])),
            "mean_guess": mean(mean_guess),
            "mean_error": mean(mean_error),
        }

    def alarm(self) -> dict[str, Any]:
        """rate: fraction of images with an alarm; precision: fraction of alarms with a wrong class; recall: fraction of wrong classes with
        an alarm."""
        columns = self._labelled("alarm", "correct")
        if columns is None:
            return {}
        alarm, wrong = columns[0] > 0, columns[1] == 0
        return {
            "rate": float(alarm.double().mean()),
            "error_rate": float(wrong.double().mean()),
            "precision": float(wrong[alarm].double().mean()) if alarm.any() else None,
            "recall": float(alarm[wrong].double().mean()) if wrong.any() else None,
        }

    def unfamiliar(self) -> dict[str, Any]:
        """rate: fraction of images that are found unlike the training images; accuracy of these and of the others in %."""
        columns = self._labelled("unfamiliar", "correct")
        if columns is None:
            return {}
        warned, correct = columns[0] > 0, 100 * columns[1]
        return {
            "rate": float(warned.double().mean()),
            "accuracy": mean(correct[warned]),
            "accuracy_of_others": mean(correct[~warned]),
        }

    def by_strength(self) -> dict[str, list[dict[str, Any]]]:
        """Accuracy and PSNR of the images with each kind of damage, by its strength, for kinds of several strengths."""
        return {kind: rows for kind, strengths in self.strengths.items() if len(rows := self._strengths(strengths)) > 1}

    def _strengths(self, strengths: Tensor) -> list[dict[str, Any]]:
        present = strengths[~strengths.isnan()]
        edges = sorted(set(present.tolist()))
        if len(edges) > 2 * NUM_STRENGTHS:
            num_parts = max(1, min(NUM_STRENGTHS, len(present) // MIN_IMAGES_PER_STRENGTH))
            parts = torch.quantile(present.double(), torch.linspace(0, 1, num_parts + 1, dtype=torch.float64)[1:-1])
            edges = [*sorted(set(parts.float().tolist())), torch.inf]
        rows = []
        for low, high in pairwise([-torch.inf, *edges]):
            inside = (strengths > low) & (strengths <= high)
            if inside.any():
                figures = {name: mean(self.columns[name][inside]) for name in ("correct", "psnr", "input_psnr") if name in self.columns}
                accuracy = figures.pop("correct", None)
                row: dict[str, Any] = {"strength": float(strengths[inside].mean()), "num_images": int(inside.sum())}
                rows.append(row | {"accuracy": None if accuracy is None else 100 * accuracy} | figures)
        return rows
