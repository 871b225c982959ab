"""Calibrates the outputs of a trained network: fits the temperature, the gate, and the least evidence for a class.

Never on test images. Temperature and evidence are fitted only on images held out of the training: a network is overconfident on images that
it has memorised, and a temperature fitted on those makes its confidence on new ones worse (figures in `docs/trust.md`). The gate may be
fitted on training images with new damage, since it does not use labels.
"""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.batch import Degrade, Output, from_pixels
from pellucid.checkpoint import ModelMetadata
from pellucid.data import MIN_VALIDATION, Dataset, Splits
from pellucid.device import inference_autocast
from pellucid.labels import UNLABELLED
from pellucid.metrics import Columns, psnr_of
from pellucid.models.evidence import QUANTILE, evidence_of
from pellucid.models.gate import Gate, change_of
from pellucid.models.predicting import Predicting
from pellucid.seeding import generator

MAX_IMAGES = 1000
"""Maximum number of images, evenly spaced in their data set."""

SPREAD = 0.5
"""Standard deviation of the logarithm of the temperature in its prior: 95 % of the temperatures are from 0.38 to 2.7."""

CEILING = 45.0
"""Upper limit of the PSNR in dB when fitting the gate: differences beyond it are invisible."""

MAX_LOSS = 0.005
"""Maximum loss of mean PSNR in dB on damaged images by the gate."""

NUM_THRESHOLDS = 200
"""Number of candidates for a threshold of the gate, quantiles of the values of undamaged images."""

FORWARD_PIXELS = 256 * 32 * 32
"""Maximum number of pixels of one forward pass."""


class Calibration(NamedTuple):
    """temperature: divisor of the logits before the softmax; gate: see `Gate`; fitted: description of what was fitted on which images;
    least_evidence: see `models.evidence`, `None` without held-out images."""

    temperature: float = 1.0
    gate: Gate | None = None
    fitted: str = ""
    least_evidence: float | None = None


def as_predicted(network: nn.Module, metadata: ModelMetadata, mirror: bool = False) -> Predicting:
    """A network in evaluation mode with the outputs that `predict` has by default or with `mirror`, to be measured."""
    return Predicting(network, metadata.temperature, metadata.gate, metadata.image_size, mirror)


def calibrate(network: Callable[[Tensor], Output], splits: Splits, degrade: Degrade, device: torch.device | str = "cpu") -> Calibration:
    """Fit temperature, gate and least evidence of a network in evaluation mode, under the damage that it was trained on.

    The temperature needs validation images with labels, `MIN_VALIDATION` at least, else it stays 1; the evidence needs as many, without
    labels. The gate is fitted on these, or else on training images.
    """
    held_out = splits.validation is not None and len(splits.validation) >= MIN_VALIDATION
    dataset = splits.validation if held_out and splits.validation is not None else splits.train
    indices = np.linspace(0, len(dataset) - 1, min(MAX_IMAGES, len(dataset))).round().astype(np.int64)
    measured = list(_measured(network, dataset, indices, degrade, torch.device(device)))
    temperature, gate, least_evidence, fitted = 1.0, None, None, []
    images = f"{len(indices):,} {dataset.split.replace('train', 'training')} images"
    labels = torch.tensor(dataset.labels[indices])
    logits_by_batch = [each.logits for each in measured if each.logits is not None]
    if held_out and logits_by_batch:
        logits = torch.cat(logits_by_batch).cpu()
        known = (labels != UNLABELLED) & logits.isfinite().all(dim=1)
        if int(known.sum()) >= MIN_VALIDATION:
            temperature = fit_temperature(logits[known], labels[known])
            fitted.append("temperature")
        evidence = evidence_of(logits.numpy())
        if np.isfinite(evidence).all():
            least_evidence = float(np.quantile(evidence, QUANTILE))
    if measured[0].clean and len(indices) >= MIN_VALIDATION:
        gate = fit_gate(_joined([each.clean for each in measured]), _joined([each.damaged for each in measured]))
        fitted += ["gate"] if gate is not None else []
    return Calibration(temperature, gate, f"{' and '.join(fitted)} on {images}" if fitted else "", least_evidence)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the least cross-entropy (Guo et al. 2017): logits (N, num_classes) and labels (N,) -> a factor, 0.05 to 20.

    Its logarithm has a normal prior around 0 of deviation `SPREAD`: without one, images that are all classified correctly have 0.05. In
    simulations of 50 images it halves the error of the logarithm or leaves it; for 1,000 it makes no difference.
    """
    from scipy.optimize import minimize_scalar  # only now, since it takes as long to import as all of this package

    logits, labels = logits.double().cpu(), labels.cpu()

    def loss(exponent: float) -> float:
        likelihood = F.cross_entropy(logits / float(np.exp(exponent)), labels, reduction="sum").item()
        return likelihood + (exponent / SPREAD) ** 2 / 2

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def fit_gate(clean: Columns, damaged: Columns) -> Gate | None:
    """The thresholds that leave the most undamaged images and cost damaged ones at most `MAX_LOSS`: first the one for the change, then the
    one for the presence beside it. `None` if there are none.

    clean, damaged: per-image values of undamaged and of damaged images: change, see `change_of`; presence, the largest presence logit;
    before, after: PSNR in dB, at most `CEILING`; each (N,). Undamaged images in `damaged` do not count: leaving them is a gain,
    which must not make up for losses on the others.
    """
    damaged = {name: column[damaged["before"] < CEILING] for name, column in damaged.items()}
    left, thresholds = torch.zeros(len(damaged["change"]), dtype=torch.bool), {}
    for name in ("change", "presence"):
        if name in clean and (threshold := _largest(name, clean, damaged, left)) is not None:
            thresholds[name] = threshold
            left = left | (damaged[name] <= threshold)
    return Gate(**thresholds) if thresholds else None


def _largest(name: str, clean: Columns, damaged: Columns, left: Tensor) -> float | None:
    """The largest threshold, a quantile of the values of undamaged images; left: damaged images that are left already."""
    loss = damaged["after"] - damaged["before"]
    candidates = torch.quantile(clean[name].double(), torch.linspace(0, 1, NUM_THRESHOLDS, dtype=torch.float64)).tolist()
    allowed = takewhile(lambda each: float(loss[left | (damaged[name] <= each)].sum()) <= MAX_LOSS * len(loss), candidates)
    return max(allowed, default=None)


class _Measured(NamedTuple):
    """logits: for damaged images (B, num_classes); clean, damaged: columns, empty for a network that does not restore."""

    logits: Tensor | None
    clean: Columns
    damaged: Columns


@torch.inference_mode()
def _measured(
    network: Callable[[Tensor], Output], dataset: Dataset, indices: np.ndarray, degrade: Degrade, device: torch.device
) -> Iterator[_Measured]:
    height, width = dataset.size
    size = max(1, FORWARD_PIXELS // (height * width))
    for start in range(0, len(indices), size):
        part = indices[start : start + size]
        clean = from_pixels(dataset.images[part])
        given = clean if dataset.damaged is None else from_pixels(dataset.damaged[part])
        degraded, _ = degrade(given, generator("calibration", start))
        clean, degraded = clean.to(device), degraded.to(device)
        outputs = [forward(network, images) for images in (clean, degraded)]
        columns = [_measure(output, images, clean) for output, images in zip(outputs, (clean, degraded), strict=True)]
        yield _Measured(outputs[1].logits, *columns)


def forward(network: Callable[[Tensor], Output], images: Tensor) -> Output:
    """The output in float32, computed in the precision that suits the device."""
    with inference_autocast(images.device):
        return network(images).float()


def _measure(output: Output, images: Tensor, clean: Tensor) -> Columns:
    if output.restored is None:
        return {}
    columns = {
        "change": torch.from_numpy(change_of(images.cpu().numpy(), output.restored.cpu().numpy())),
        "before": psnr_of(images, clean).clamp(max=CEILING),
        "after": psnr_of(output.restored, clean).clamp(max=CEILING),
    }
    if output.presence is not None:
        columns["presence"] = output.presence.amax(dim=1)
    return columns


def _joined(parts: list[Columns]) -> Columns:
    """The columns of all images with finite values, on the CPU."""
    columns = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    finite = torch.stack([column.isfinite() for column in columns.values()]).all(dim=0)
    return {name: column[finite] for name, column in columns.items()}
