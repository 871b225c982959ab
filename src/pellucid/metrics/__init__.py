"""Output, Batch -> metrics, as the protocol defines them: accuracy, calibration error, PSNR, SSIM, and those of the damage head.

`FIGURES` lists the metrics, `PER_IMAGE` the values computed for each image; `Metrics` accumulates these over batches and averages them.
Results are float32, with the restored image clamped to [0, 1].

    >>> import torch
    >>> from pellucid.metrics import psnr_of
    >>> clean = torch.full((2, 3, 8, 8), 0.5)
    >>> [round(psnr, 2) for psnr in psnr_of(clean + 0.1, clean).tolist()]  # dB, for each image
    [20.0, 20.0]
"""

from pellucid.metrics.accumulator import DAMAGED, PER_IMAGE, Metrics, Scores
from pellucid.metrics.figures import BROKEN_MARK, BROKEN_NOTE, FIGURES, NUM_BINS, TASKS, Columns, Figure, figure_text
from pellucid.metrics.psnr import MAX_PSNR, psnr_of
from pellucid.metrics.ssim import ssim_of

__all__ = ["BROKEN_MARK", "BROKEN_NOTE", "DAMAGED", "FIGURES", "MAX_PSNR", "NUM_BINS", "PER_IMAGE", "TASKS"]
__all__ += ["Columns", "Figure", "Metrics", "Scores", "figure_text", "psnr_of", "ssim_of"]
