"""Metrics of ranking: per-pixel uncertainty against errors, confidence against mistakes."""

import torch
from torch import Tensor

NUM_CUTS = 20
"""Number of points of a sparsification curve, at equal fractions of removed pixels from 0."""


def rank_correlation(guess: Tensor, error: Tensor) -> Tensor:
    """Spearman's correlation within each image: two of (B, H, W) -> (B,), NaN where one of them is constant; ties in any order."""
    first, second = (each.flatten(1).double().argsort(dim=1).argsort(dim=1).double() for each in (guess, error))
    first, second = first - first.mean(dim=1, keepdim=True), second - second.mean(dim=1, keepdim=True)
    correlation = (first * second).mean(dim=1) / (first.std(dim=1, correction=0) * second.std(dim=1, correction=0))
    constant = (guess.flatten(1).amax(1) == guess.flatten(1).amin(1)) | (error.flatten(1).amax(1) == error.flatten(1).amin(1))
    return correlation.masked_fill(constant, torch.nan)


def sparsification(key: Tensor, error: Tensor) -> Tensor:
    """The mean error of the remaining pixels when those with the largest keys are removed: two of (B, H, W) -> (B, NUM_CUTS)."""
    key, error = key.flatten(1), error.flatten(1).double()
    num_pixels = error.shape[1]
    cuts = torch.tensor([cut * num_pixels // NUM_CUTS for cut in range(NUM_CUTS)], device=error.device)
    ordered = error.gather(1, key.argsort(dim=1, descending=True))
    remaining = ordered.flip(1).cumsum(dim=1).flip(1)
    return remaining[:, cuts] / (num_pixels - cuts)


def sparsification_error(guess: Tensor, oracle: Tensor) -> float | None:
    """The area between a mean curve and that of the true errors, relative to that of a random order: 0 is perfect, 1 random.

    guess, oracle: (NUM_CUTS,); a random order keeps the mean of all pixels. `None` without errors.
    """
    random_area = (oracle[0] - oracle).mean()
    return float((guess - oracle).mean() / random_area) if random_area > 0 else None


def risk_coverage(confidence: Tensor, correct: Tensor) -> Tensor:
    """The error rate of the 1, 2, ... N most confident images, expected over the orders of equal confidences: two of (N,) -> (N,)."""
    _, group, sizes = torch.unique(-confidence, return_inverse=True, return_counts=True)  # the most confident first
    errors = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, group, 1 - correct.double())
    wrong: Tensor = (errors / sizes).repeat_interleave(sizes)
    return wrong.cumsum(0) / torch.arange(1, len(wrong) + 1, dtype=torch.float64)
