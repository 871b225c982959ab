"""Predictor: pictures of any size -> classes, restored pictures, and estimates of the damage."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.batch import Output, from_pixels, to_deep_pixels, to_pixels
from pellucid.checkpoint import ModelMetadata, load_model
from pellucid.degradations import DEGRADATIONS
from pellucid.device import choose_device, inference_autocast
from pellucid.errors import UserError
from pellucid.inference.footprint import max_pixels
from pellucid.inference.prediction import BROKEN, EstimatedDamage, Prediction
from pellucid.inference.tiling import Tiling, build_tiling, forward_in_tiles
from pellucid.models.gate import Gate, change_of, undamaged
from pellucid.models.joint import crop
from pellucid.models.mirrored import Mirrored
from pellucid.pictures import Pixels

SMALLEST = 8
"""Height and width from which up networks take images."""

NEAR = 2
"""Pictures of up to so many times the size of the training images are classified as they are, larger ones scaled down to that size."""

ROWS = 512
"""Rows of large pictures that are compared at once."""

OBLONG = 4
"""Ratio of the sides from which on a picture is scaled by its longer side."""


class Predictor:
    """A network and the names of its classes, ready for pictures.

    Restored pictures and masks come from the pictures at their own size, in tiles where they are large. Classes, kinds of damage and their
    strengths come from the whole picture: as it is up to twice the size of the training images, scaled down to that size beyond.

    Args:
        network: in evaluation mode; images (B, 3, H, W) in [0, 1] -> `Output`. It is moved to `device`.
        classes: their names, in the order of the logits.
        device: a name of torch's, or `auto`.
        batch_size: most pictures of one forward; large pictures go through in smaller batches, see `max_pixels`.
        damages: the kinds of damage that the network tells apart, in the order of its output; without names it reports none.
        image_size: shorter side of the images that the network was trained on, in pixels.
        temperature: by which logits are divided, so that confidence is what it says; see `evaluation.calibration`.
        gate: when a picture is left as it is; none restores every picture.
        abstain_below: the confidence from which on a label is given; 0 gives one always.
        second_look: ask the network for the class of the restored picture, too, for about twice the time; see `Prediction.alarm`.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        device: torch.device | str = "cpu",
        batch_size: int = 64,
        damages: Sequence[str] = (),
        image_size: int = ModelMetadata.image_size,
        *,
        temperature: float = 1.0,
        gate: Gate | None = None,
        abstain_below: float = 0.0,
        second_look: bool = False,
    ) -> None:
        if not 0 <= abstain_below <= 1:
            raise UserError(f"Expected a probability from 0 to 1 to abstain below, found {abstain_below:g}; 0.5 is fifty per cent.")
        if batch_size < 1:
            raise UserError(f"Expected a batch_size of at least 1, found {batch_size}.")
        if len(set(classes)) < len(classes):
            raise UserError(f"Expected every class once, found {', '.join(classes)}; rename those that are called alike.")
        if network.training:
            raise ValueError("Expected a network in evaluation mode, found it in training mode; call network.eval() first.")
        self.device = choose_device(device)
        self.network = network.to(self.device)
        self.classes, self.damages = tuple(classes), tuple(damages)
        self.batch_size, self.image_size = batch_size, image_size
        self.max_pixels = max_pixels(self.network)
        self.temperature, self.gate = temperature, gate
        self.abstain_below, self.second_look = abstain_below, second_look

    @classmethod
    def load(
        cls,
        source: str | Path | None = None,
        device: torch.device | str = "auto",
        batch_size: int = 64,
        mirror: bool = False,
        *,
        abstain_below: float = 0.0,
        second_look: bool = False,
        gate: bool = True,
    ) -> Self:
        """A saved model by its folder, a run's folder, a name on the Hugging Face hub, or the bundled one.

        mirror: average over each picture and its mirror image, for twice the time; abstain_below, second_look: see `Predictor`; gate: leave
        undamaged pictures as they are, if the model has a gate.
        """
        chosen = choose_device(device)
        network, metadata = load_model(source, chosen)
        tasks = metadata.model.tasks
        for asked, missing in ((abstain_below, "restore"), (second_look, "restore"), (second_look, "classify")):
            if asked and tasks == missing:
                raise UserError(
                    f"Expected a model that {'classifies' if missing == 'restore' else 'restores'} for this, found one of task "
                    f"'{tasks}'; leave out --abstain-below and --second-look, or choose another model."
                )
        if mirror:
            network = Mirrored(network)
        return cls(
            network,
            metadata.classes,
            chosen,
            batch_size,
            metadata.damages,
            metadata.image_size,
            temperature=metadata.temperature,
            gate=metadata.gate if gate else None,
            abstain_below=abstain_below,
            second_look=second_look,
        )

    def predict(self, images: Pixels | Sequence[Pixels]) -> list[Prediction]:
        """One picture (H, W, 3), uint8 or uint16, RGB, or several of any sizes -> a prediction for each, in their order.

        Pictures of one size and type go through the network together.
        """
        pictures = [images] if isinstance(images, np.ndarray) and images.ndim == 3 else list(images)
        for picture in pictures:
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype not in (np.uint8, np.uint16) or picture.size == 0:
                raise ValueError(
                    f"Expected uint8 images of shape (H, W, 3), found {picture.dtype} of shape {picture.shape}; convert them to RGB first."
                )
        predictions: dict[int, Prediction] = {}
        for indices in self._batches(pictures):
            batch = pictures[indices[0]][None] if len(indices) == 1 else np.stack([pictures[index] for index in indices])
            predictions.update(zip(indices, self._predict(batch), strict=True))
        return [predictions[index] for index in range(len(pictures))]

    @cached_property
    def tiling(self) -> Tiling:
        """How pictures of more than `max_pixels` are cut."""
        return build_tiling(self.network, self.max_pixels)

    def _batches(self, pictures: Sequence[Pixels]) -> Iterator[list[int]]:
        """The indices of pictures that go through the network together."""
        alike: dict[tuple[object, ...], list[int]] = {}
        for index, picture in enumerate(pictures):
            alike.setdefault((*picture.shape, picture.dtype), []).append(index)
        for indices in alike.values():
            size = min(self.batch_size, max(1, self.max_pixels // (pictures[indices[0]].size // 3)))
            for start in range(0, len(indices), size):
                yield indices[start : start + size]

    @torch.inference_mode()
    def _predict(self, pixels: Pixels) -> list[Prediction]:
        """Pictures of one size (B, H, W, 3) -> a prediction for each."""
        num_pictures, height, width, _ = pixels.shape
        near = max(height, width) <= NEAR * self.image_size
        output = self._forward(from_pixels(pixels if near else self._scaled_down(pixels)))
        finite = _finite(output)
        restored = None if output.restored is None else np.empty_like(pixels)
        mask = None if output.mask is None else np.empty(pixels.shape[:3], np.bool_)
        if near or (restored is None and mask is None):
            strips: Iterator[Output] = iter([output])
        elif height * width <= self.max_pixels:
            strips = iter([self._forward(from_pixels(pixels))])
        else:
            strips = forward_in_tiles(pixels, self._forward, self.tiling)
        grey = (pixels[..., 0] == pixels[..., 1]).all((1, 2)) & (pixels[..., 1] == pixels[..., 2]).all((1, 2))
        top = bottom = 0
        for strip in strips:
            finite &= _finite(strip)
            if restored is not None and strip.restored is not None:
                bottom = top + strip.restored.shape[2]
                restored[:, top:bottom] = _pixels(strip.restored, grey, pixels)
            if mask is not None and strip.mask is not None:
                bottom = top + strip.mask.shape[2]
                mask[:, top:bottom] = (strip.mask[:, 0] > 0).cpu().numpy()
            top = bottom
        left = np.zeros(num_pictures, np.bool_) if restored is None else self._leave(pixels, restored, mask, output, near)
        second: list[str | None] = [None] * num_pictures
        if self.second_look and restored is not None and output.logits is not None:
            looked = self._forward(from_pixels(restored if near else self._scaled_down(restored))).logits
            second = [None] * num_pictures if looked is None else list(self._classes(looked)[0])
        nothing = [None] * num_pictures
        predictions = [
            replace(Prediction(*fields), left=bool(is_left), restored_label=again) if whole else BROKEN
            for whole, is_left, again, *fields in zip(
                finite.tolist(),
                left,
                second,
                *((nothing,) * 3 if output.logits is None else self._classes(output.logits)),
                nothing if restored is None else restored,
                nothing if output.presence is None or output.strength is None else self._damages(output.presence, output.strength),
                nothing if mask is None else mask,
                strict=True,
            )
        ]
        return [
            replace(each, label=None, abstained=True) if each.confidence is not None and each.confidence < self.abstain_below else each
            for each in predictions
        ]

    def _leave(self, pixels: Pixels, restored: Pixels, mask: NDArray[np.bool_] | None, output: Output, near: bool) -> NDArray[np.bool_]:
        """(B,) which pictures are undamaged; these become their own restored pictures, without lost pixels."""
        if self.gate is None:
            return np.zeros(len(pixels), np.bool_)
        rows = range(0, pixels.shape[1], ROWS)
        changes = [change_of(*(from_pixels(each[:, row : row + ROWS]) for each in (pixels, restored))) for row in rows]
        left: NDArray[np.bool_] = undamaged(self.gate, output, torch.stack(changes).amax(dim=0), near).cpu().numpy()
        restored[left] = pixels[left]
        if mask is not None:
            mask[left] = False
        return left

    def _forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1], of any size -> `Output` in float32."""
        height, width = images.shape[2:]
        images = images.to(self.device)
        margin = (0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height))
        with inference_autocast(self.device):
            output: Output = self.network(F.pad(images, margin, mode="replicate") if any(margin) else images).float()
        return crop(output, images)

    def _scaled_down(self, pixels: Pixels) -> Pixels:
        """Pictures (B, H, W, 3) with the shorter side of the training images; the longer one at most `OBLONG` times that."""
        height, width = pixels.shape[1:3]
        scale = min(self.image_size / min(height, width), OBLONG * self.image_size / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pixels])

    def _classes(self, logits: Tensor) -> tuple[list[str], list[float], list[dict[str, float]]]:
        """(B, num_classes) -> label, confidence and probabilities of each picture."""
        probabilities = [dict(zip(self.classes, of_one, strict=True)) for of_one in (logits / self.temperature).softmax(dim=1).tolist()]
        labels = [max(of_one, key=of_one.__getitem__) for of_one in probabilities]
        return labels, [of_one[label] for of_one, label in zip(probabilities, labels, strict=True)], probabilities

    def _damages(self, presence: Tensor, strength: Tensor) -> list[dict[str, EstimatedDamage] | None]:
        """Logits and strengths (B, K) -> what is said of each kind, for each picture."""
        if not self.damages:
            return [None] * len(presence)
        return [
            {
                kind: EstimatedDamage(probability=probability, strength=amount, unit=DEGRADATIONS[kind].unit)
                for kind, probability, amount in zip(self.damages, *of_one, strict=True)
            }
            for of_one in zip(presence.sigmoid().tolist(), strength.tolist(), strict=True)
        ]


def _finite(output: Output) -> Tensor:
    """(B,) bool: all numbers of an output for a picture are finite."""
    return torch.stack([part.flatten(1).isfinite().all(dim=1) for part in output if part is not None]).all(dim=0).cpu()


def _pixels(restored: Tensor, grey: NDArray[np.bool_], like: Pixels) -> Pixels:
    """Restored images (B, 3, H, W) -> (B, H, W, 3) of the type of `like`, without colour where the picture had none."""
    if grey.any():
        restored = torch.where(torch.tensor(grey, device=restored.device)[:, None, None, None], restored.mean(1, keepdim=True), restored)
    return to_pixels(restored) if like.dtype == np.uint8 else to_deep_pixels(restored)
