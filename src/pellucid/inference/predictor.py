"""Predictor: pictures of any size -> classes, restored pictures, and estimates of the damage."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from pellucid.degradations import DEGRADATIONS
from pellucid.errors import UserError
from pellucid.inference.backend import SMALLEST, Backend, MirroredBackend, Outputs
from pellucid.inference.pixels import STRIP_ROWS, Floats, floats_to_pixels, pad_to_size, to_floats
from pellucid.inference.prediction import BROKEN, EstimatedDamage, Prediction
from pellucid.inference.source import DEFAULT_IMAGE_SIZE, open_backend
from pellucid.inference.tiling import Tiling, build_tiling, forward_in_tiles
from pellucid.models.evidence import evidence_of
from pellucid.models.gate import Gate, change_of, undamaged
from pellucid.models.overview import has_own_size, scale_down
from pellucid.pictures import Pixels

if TYPE_CHECKING:
    import torch
    from torch import nn


class Predictor:
    """Predicts pictures of any size; one interface to torch, ONNX Runtime and OpenVINO.

    Restored pictures and masks are computed at the size of the pictures, in tiles if they are large. Classes, kinds of damage and their
    strengths are computed on the whole picture, which is scaled down to the size of the training images if it is more than twice as large.

    Args:
        network: a torch network in evaluation mode, images (B, 3, H, W) in [0, 1] -> `Output`, which is moved to `device`; or a `Backend`.
        classes: class names, in the order of the logits; none for a network without a class head.
        device: for a torch network, a name of torch's, or `auto`.
        batch_size: maximum number of pictures of one forward pass; batches of large pictures are smaller, see `max_pixels`.
        damages: the kinds of damage that the network distinguishes, in the order of its output; if empty, no damage is reported.
        image_size: shorter side of the images that the network was trained on, in pixels.
        temperature: divisor of the logits, for calibrated confidence; see `evaluation.calibration`.
        gate: thresholds below which a picture is left unchanged; `None` restores every picture.
        abstain_below: minimum confidence for a label.
        second_look: also classify the restored picture, for about twice the time; see `Prediction.alarm`.
        least_evidence: evidence for a class below which a picture counts as unlike the training images; see `models.evidence`.
    """

    def __init__(
        self,
        network: "nn.Module | Backend",
        classes: Sequence[str],
        device: "torch.device | str" = "cpu",
        batch_size: int = 64,
        damages: Sequence[str] = (),
        image_size: int = DEFAULT_IMAGE_SIZE,
        *,
        temperature: float = 1.0,
        gate: Gate | None = None,
        abstain_below: float = 0.0,
        second_look: bool = False,
        least_evidence: float | None = None,
    ) -> None:
        if not 0 <= abstain_below <= 1:
            raise UserError(f"Expected a probability from 0 to 1 to abstain below, found {abstain_below:g}; 0.5 is fifty per cent.")
        if batch_size < 1:
            raise UserError(f"Expected a batch_size of at least 1, found {batch_size}.")
        if len(set(classes)) < len(classes):
            raise UserError(f"Expected every class once, found {', '.join(classes)}; rename the duplicates.")
        if isinstance(network, Backend):
            self.backend: Backend = network
        else:
            from pellucid.inference.torch_backend import TorchBackend

            self.backend = TorchBackend(network, device)
        self.classes, self.damages = tuple(classes), tuple(damages)
        self.batch_size, self.image_size = batch_size, image_size
        self.max_pixels = self.backend.max_pixels
        self.temperature, self.gate = temperature, gate
        self.abstain_below, self.second_look, self.least_evidence = abstain_below, second_look, least_evidence

    @classmethod
    def load(
        cls,
        source: str | Path | None = None,
        device: "torch.device | str" = "auto",
        batch_size: int = 64,
        mirror: bool = False,
        *,
        abstain_below: float = 0.0,
        second_look: bool = False,
        gate: bool = True,
    ) -> Self:
        """A saved model by its folder, a run's folder, a name on the Hugging Face hub, or the bundled one; or an exported model.

        source: an exported model is a file `*.onnx`, or the folder of an OpenVINO model; these need no torch, and run on the CPU.
        mirror: average over each picture and its mirror image, for twice the time; abstain_below, second_look: see `Predictor`; gate: leave
        undamaged pictures as they are, if the model has a gate.
        """
        backend, metadata = open_backend(source, device)
        for option, missing in ((abstain_below, "restore"), (second_look, "restore"), (second_look, "classify")):
            if option and metadata.tasks == missing:
                raise UserError(
                    f"Expected a model that {'classifies' if missing == 'restore' else 'restores'} for this, found one of task "
                    f"'{missing}'; leave out --abstain-below and --second-look, or choose another model."
                )
        if mirror:
            backend = MirroredBackend(backend)
        return cls(
            backend,
            () if metadata.tasks == "restore" else metadata.classes,
            "cpu",
            batch_size,
            metadata.damages,
            metadata.image_size,
            temperature=metadata.temperature,
            gate=metadata.gate if gate else None,
            abstain_below=abstain_below,
            second_look=second_look,
            least_evidence=metadata.least_evidence,
        )

    @property
    def stated(self) -> str:
        """Engine, device, threads, precision and batch size, as text."""
        return f"{self.backend.stated}, batches of up to {self.batch_size}"

    def predict(self, images: Pixels | Sequence[Pixels]) -> list[Prediction]:
        """One picture (H, W, 3), uint8 or uint16, RGB, or several of any sizes -> a prediction for each, in their order.

        Pictures of one size and type go through the network together.
        """
        pictures = [images] if isinstance(images, np.ndarray) and images.ndim == 3 else list(images)
        for picture in pictures:
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype not in (np.uint8, np.uint16) or picture.size == 0:
                raise ValueError(
                    f"Expected uint8 or uint16 images of shape (H, W, 3), found {picture.dtype} of shape {picture.shape}; convert them to "
                    "RGB first."
                )
        predictions: dict[int, Prediction] = {}
        for indices in self._batches(pictures):
            batch = pictures[indices[0]][None] if len(indices) == 1 else np.stack([pictures[index] for index in indices])
            predictions.update(zip(indices, self._predict(batch), strict=True))
        return [predictions[index] for index in range(len(pictures))]

    @cached_property
    def tiling(self) -> Tiling:
        """The tiling of pictures with more than `max_pixels`."""
        return build_tiling(self.backend.reach(), self.backend.multiple, self.max_pixels)

    def _batches(self, pictures: Sequence[Pixels]) -> Iterator[list[int]]:
        """The indices of the pictures of each batch, of equal size and type."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for index, picture in enumerate(pictures):
            groups.setdefault((*picture.shape, picture.dtype), []).append(index)
        for indices in groups.values():
            size = min(self.batch_size, max(1, self.max_pixels // (pictures[indices[0]].size // 3)))
            for start in range(0, len(indices), size):
                yield indices[start : start + size]

    def _predict(self, pixels: Pixels) -> list[Prediction]:
        """Pictures of one size (B, H, W, 3) -> a prediction for each."""
        near = has_own_size(pixels.shape[1], pixels.shape[2], self.image_size)
        output = self._overview(pixels, near)
        restored, mask, finite = self._restore(pixels, output, near)
        left = self._leave(pixels, restored, mask, output, near)
        nothing, least = [None] * len(pixels), self.least_evidence
        columns = (
            *((nothing,) * 3 if output.logits is None else self._classes(output.logits)),
            nothing if restored is None else restored,
            nothing if output.presence is None or output.strength is None else self._damages(output.presence, output.strength),
            nothing if mask is None else mask,
            (~finite).tolist(),
            left.tolist(),
            [False] * len(pixels),
            self._second_labels(restored, output.logits, near) or nothing,
            nothing if least is None or output.logits is None else (evidence_of(output.logits) < least).tolist(),
        )
        return [
            BROKEN if each.broken else replace(each, label=None, abstained=True) if (each.confidence or 1) < self.abstain_below else each
            for each in (Prediction(*fields) for fields in zip(*columns, strict=True))
        ]

    def _overview(self, pixels: Pixels, near: bool) -> Outputs:
        """The output for pictures as they are, or scaled down if they are not near the size of the training images."""
        return self._forward(to_floats(pixels if near else scale_down(pixels, self.image_size)))

    def _restore(self, pixels: Pixels, output: Outputs, near: bool) -> tuple[Pixels | None, NDArray[np.bool_] | None, NDArray[np.bool_]]:
        """Restored pictures (B, H, W, 3) and masks (B, H, W), if the network has them, and whether all outputs are finite (B,)."""
        finite = output.finite()
        restored = None if output.restored is None else np.empty_like(pixels)
        mask = None if output.mask is None else np.empty(pixels.shape[:3], np.bool_)
        if near or (restored is None and mask is None):
            strips: Iterator[Outputs] = iter([output])
        elif pixels.shape[1] * pixels.shape[2] <= self.max_pixels:
            strips = iter([self._forward(to_floats(pixels))])
        else:
            strips = forward_in_tiles(pixels, self._forward, self.tiling)
        grey = (pixels[..., 0] == pixels[..., 1]).all((1, 2)) & (pixels[..., 1] == pixels[..., 2]).all((1, 2))
        top = bottom = 0
        for strip in strips:
            finite &= strip.finite()
            if restored is not None and strip.restored is not None:
                bottom = top + strip.restored.shape[2]
                restored[:, top:bottom] = floats_to_pixels(strip.restored, grey, pixels)
            if mask is not None and strip.mask is not None:
                bottom = top + strip.mask.shape[2]
                mask[:, top:bottom] = strip.mask[:, 0] > 0
            top = bottom
        return restored, mask, finite

    def _second_labels(self, restored: Pixels | None, logits: Floats | None, near: bool) -> list[str] | None:
        """The classes of restored pictures, with `second_look`."""
        if not self.second_look or restored is None or logits is None:
            return None
        second = self._overview(restored, near).logits
        return None if second is None else self._classes(second)[0]

    def _leave(
        self, pixels: Pixels, restored: Pixels | None, mask: NDArray[np.bool_] | None, output: Outputs, near: bool
    ) -> NDArray[np.bool_]:
        """(B,): which pictures are undamaged; sets their restored pictures to the input, and clears their masks."""
        if self.gate is None or restored is None:
            return np.zeros(len(pixels), np.bool_)
        rows = range(0, pixels.shape[1], STRIP_ROWS)
        changes = [change_of(*(to_floats(each[:, row : row + STRIP_ROWS]) for each in (pixels, restored))) for row in rows]
        left = undamaged(self.gate, output.presence, np.max(changes, axis=0), near)
        for index in np.flatnonzero(left):  # one by one, without another copy of all
            restored[index] = pixels[index]
        if mask is not None:
            mask[left] = False
        return left

    def _forward(self, images: Floats) -> Outputs:
        """(B, 3, H, W) in [0, 1], of any size -> `Outputs`."""
        height, width = images.shape[2:]
        return self.backend(pad_to_size(images, max(height, SMALLEST), max(width, SMALLEST))).crop(height, width)

    def _classes(self, logits: Floats) -> tuple[list[str], list[float], list[dict[str, float]]]:
        """(B, num_classes) -> label, confidence and probabilities of each picture."""
        logits = logits / self.temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
        of_all = (powers / powers.sum(axis=1, keepdims=True)).tolist()
        probabilities = [dict(zip(self.classes, of_one, strict=True)) for of_one in of_all]
        labels = [max(of_one, key=of_one.__getitem__) for of_one in probabilities]
        return labels, [of_one[label] for of_one, label in zip(probabilities, labels, strict=True)], probabilities

    def _damages(self, presence: Floats, strength: Floats) -> list[dict[str, EstimatedDamage] | None]:
        """Logits and strengths (B, K) -> the estimates by kind, for each picture."""
        if not self.damages:
            return [None] * len(presence)
        return [
            {
                kind: EstimatedDamage(probability=probability, strength=amount, unit=DEGRADATIONS[kind].unit)
                for kind, probability, amount in zip(self.damages, *of_one, strict=True)
            }
            for of_one in zip((0.5 + 0.5 * np.tanh(presence.astype(np.float64) / 2)).tolist(), strength.tolist(), strict=True)
        ]
