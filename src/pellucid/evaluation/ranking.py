"""How well a guess ranks what it guesses: per-pixel uncertainty against errors, confidence against mistakes."""

import torch
from torch import Tensor

NUM_CUTS = 20
"""Shares of the pixels, from none on, that are left out for a sparsification curve."""


def rank_correlation(guess: Tensor, error: Tensor) -> Tensor:
    """Spearman's correlation within each image: two of (B, H, W) -> (B,), NaN where one of them is constant; ties in any order."""
    first, second = (each.flatten(1).double().argsort(dim=1).argsort(dim=1).double() for each in (guess, error))
    first, second = first - first.mean(dim=1, keepdim=True), second - second.mean(dim=1, keepdim=True)
    correlation = (first * second).mean(dim=1) / (first.std(dim=1, correction=0) * second.std(dim=1, correction=0))
    constant = (guess.flatten(1).amax(1) == guess.flatten(1).amin(1)) | (error.flatten(1).amax(1) == error.flatten(1).amin(1))
    return correlation.masked_fill(constant, torch.nan)


def sparsification(key: Tensor, error: Tensor) -> Tensor:
    """The mean error of the pixels that remain without those of the largest keys: two of (B, H, W) -> (B, NUM_CUTS)."""
    key, error = key.flatten(1), error.flatten(1).double()
    num_pixels = error.shape[1]
    cuts = torch.tensor([cut * num_pixels // NUM_CUTS for cut in range(NUM_CUTS)], device=error.device)
    ordered = error.gather(1, key.argsort(dim=1, descending=True))
    remaining = ordered.flip(1).cumsum(dim=1).flip(1)
    return remaining[:, cuts] / (num_pixels - cuts)


def sparsification_error(guess: Tensor, oracle: Tensor) -> float | None:
    """The area between a mean curve and that of the errors themselves, in parts of that of a random order: 0 perfect, 1 random.

    guess, oracle: (NUM_CUTS,); a random order keeps the mean of all pixels. `None` without errors.
    """
    room = (oracle[0] - oracle).mean()
    return float((guess - oracle).mean() / room) if room > 0 else None


def risk_coverage(confidence: Tensor, correct: Tensor) -> Tensor:
    """The error rate of the 1, 2, ... N surest images: two of (N,) -> (N,)."""
    wrong = 1 - correct.double()[confidence.argsort(descending=True)]
    return wrong.cumsum(0) / torch.arange(1, len(wrong) + 1, dtype=torch.float64)
