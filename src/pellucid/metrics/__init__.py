"""Output, Batch -> figures, as the protocol defines them: accuracy, calibration error, PSNR, SSIM, and those of the damage head.

`PER_IMAGE` lists what is measured of each image; `Metrics` collects it over batches and takes the means. All is computed in float32, with
the restored image clamped to [0, 1].
"""

from pellucid.metrics.accumulator import NUM_BINS, PER_IMAGE, Metrics, Scores
from pellucid.metrics.psnr import IDENTICAL, psnr_of
from pellucid.metrics.ssim import WINDOW, ssim_of

__all__ = ["IDENTICAL", "NUM_BINS", "PER_IMAGE", "WINDOW", "Metrics", "Scores", "psnr_of", "ssim_of"]
