"""Classical baselines without training.

The methods are OpenCV's, and use the true noise level and the true mask, which a trained model does not see. They work on 8-bit pictures,
so their outputs are rounded to 1/255.

    >>> from pellucid.evaluation.evaluate import evaluate
    >>> evaluate(CLASSICAL["inpainting, then means"], dataset, TRACKS["reference"], whole_batch=True).metrics["psnr"]  # doctest: +SKIP
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch

from pellucid.batch import Batch, Output, from_pixels, to_pixels
from pellucid.pictures import Pixels

SMOOTHING = 0.5
"""Strength of non-local means in noise deviations: among .35 to .8 the best PSNR on CIFAR-10 training images at sigma .06 to .10."""

INPAINT_RADIUS = 3.0
"""Radius in pixels of the neighbourhood in Telea's method: among 1 to 8 the best PSNR on `reference`, training images."""


def denoise(picture: Pixels, sigma: float) -> Pixels:
    """Non-local means (Buades et al. 2005) with OpenCV's windows of 7 and 21 pixels; without noise the picture is left alone.

    picture: (H, W, 3) uint8 RGB; sigma: deviation of its noise on the [0, 1] scale.
    """
    if sigma == 0:
        return picture
    strength = SMOOTHING * 255 * sigma
    denoised = cv2.fastNlMeansDenoisingColored(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), None, strength, strength)
    return np.asarray(cv2.cvtColor(denoised, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def inpaint(picture: Pixels, mask: Pixels) -> Pixels:
    """Fills the masked pixels by fast marching (Telea 2004); picture: (H, W, 3) uint8; mask: (H, W) uint8, non-zero where lost."""
    return np.asarray(cv2.inpaint(picture, mask, INPAINT_RADIUS, cv2.INPAINT_TELEA), dtype=np.uint8)


def _restored(batch: Batch, method: Callable[[Pixels, Pixels, float], Pixels]) -> Output:
    """Applies a function of (picture, mask, sigma) to every image."""
    pictures = to_pixels(batch.degraded)
    masks = batch.damage.mask[:, 0].to("cpu", torch.uint8).numpy()
    sigmas = batch.damage.strengths.get("gaussian_noise", torch.zeros(len(batch))).nan_to_num(0.0).tolist()
    restored = np.stack([method(picture, mask, sigma) for picture, mask, sigma in zip(pictures, masks, sigmas, strict=True)])
    return Output(restored=from_pixels(restored).to(batch.degraded))


CLASSICAL: dict[str, Callable[[Batch], Output]] = {
    "damaged image": lambda batch: Output(restored=batch.degraded),
    "non-local means": lambda batch: _restored(batch, lambda picture, _, sigma: denoise(picture, sigma)),
    "inpainting": lambda batch: _restored(batch, lambda picture, mask, _: inpaint(picture, mask)),
    "inpainting, then means": lambda batch: _restored(batch, lambda picture, mask, sigma: denoise(inpaint(picture, mask), sigma)),
}
"""Functions of a batch, for `evaluate` with `whole_batch`, by the name of their row in a table."""
