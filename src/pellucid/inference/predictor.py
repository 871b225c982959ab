"""Predictor: uint8 pictures of any size -> classes, restored pictures, and estimates of the damage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.batch import Output, from_pixels, to_pixels
from pellucid.checkpoint import load_model
from pellucid.degradations import DEGRADATIONS
from pellucid.device import choose_device, inference_autocast
from pellucid.errors import UserError
from pellucid.inference.footprint import max_pixels
from pellucid.models.mirrored import Mirrored

SMALLEST = 8
"""Height and width from which up networks take images."""


class EstimatedDamage(TypedDict):
    """What a model says of one kind of damage.

    probability: that the picture has it; strength: how much of it, if it has it; unit: that of the strength, in words.
    """

    probability: float
    strength: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of one picture; `None` for what it has no head for.

    label: the likeliest class; confidence: its probability; probabilities: by class, in the model's order; restored: (H, W, 3) uint8, RGB;
    damage: by kind of damage, in the model's order; mask: (H, W) bool, true where the pixels are thought to be destroyed; broken: the
    model's output is not finite, and all else is `None`.
    """

    label: str | None
    confidence: float | None
    probabilities: dict[str, float] | None
    restored: NDArray[np.uint8] | None
    damage: dict[str, EstimatedDamage] | None = None
    mask: NDArray[np.bool_] | None = None
    broken: bool = False


BROKEN = Prediction(None, None, None, None, broken=True)


class Predictor:
    """A network and the names of its classes, ready for pictures.

    Args:
        network: in evaluation mode; images (B, 3, H, W) in [0, 1] -> `Output`. It is moved to `device`.
        classes: their names, in the order of the logits.
        device: a name of torch's, or `auto`.
        batch_size: most pictures of one forward; large pictures go through in smaller batches, see `max_pixels`.
        damages: the kinds of damage that the network tells apart, in the order of its output; without names it reports none.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        device: torch.device | str = "cpu",
        batch_size: int = 64,
        damages: Sequence[str] = (),
    ) -> None:
        if batch_size < 1:
            raise UserError(f"Expected a batch_size of at least 1, found {batch_size}.")
        if len(set(classes)) < len(classes):
            raise UserError(f"Expected every class once, found {', '.join(classes)}; rename those that are called alike.")
        if network.training:
            raise ValueError("Expected a network in evaluation mode, found it in training mode; call network.eval() first.")
        self.device = choose_device(device)
        self.network = network.to(self.device)
        self.classes, self.damages = tuple(classes), tuple(damages)
        self.batch_size = batch_size
        self.max_pixels = max_pixels(self.network)

    @classmethod
    def load(
        cls, source: str | Path | None = None, device: torch.device | str = "auto", batch_size: int = 64, mirror: bool = False
    ) -> Self:
        """A saved model by its folder, a run's folder, a name on the Hugging Face hub, or the bundled one.

        mirror: average over each picture and its mirror image, for twice the time.
        """
        chosen = choose_device(device)
        network, metadata = load_model(source, chosen)
        if mirror:
            network = Mirrored(network)
        return cls(network, metadata.classes, chosen, batch_size, metadata.damages)

    def predict(self, images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """One picture (H, W, 3), uint8, RGB, or several of any sizes -> a prediction for each, in their order.

        Pictures of one size go through the network together. Raises `UserError` for one of more than `max_pixels`.
        """
        pictures = [images] if isinstance(images, np.ndarray) and images.ndim == 3 else list(images)
        for picture in pictures:
            self._check(picture)
        predictions: dict[int, Prediction] = {}
        for indices in self._batches(pictures):
            predictions.update(zip(indices, self._predict(np.stack([pictures[index] for index in indices])), strict=True))
        return [predictions[index] for index in range(len(pictures))]

    def _check(self, picture: NDArray[np.uint8]) -> None:
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
            raise ValueError(
                f"Expected uint8 images of shape (H, W, 3), found {picture.dtype} of shape {picture.shape}; convert them to RGB first."
            )
        height, width = picture.shape[:2]
        if height * width > self.max_pixels:
            raise UserError(f"Expected at most {self.max_pixels:,} pixels, found {width:,} x {height:,}; scale it down or cut it up first.")

    def _batches(self, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[list[int]]:
        """The indices of pictures that go through the network together."""
        of_size: dict[tuple[int, ...], list[int]] = {}
        for index, picture in enumerate(pictures):
            of_size.setdefault(picture.shape, []).append(index)
        for (height, width, _), indices in of_size.items():
            size = min(self.batch_size, self.max_pixels // (height * width))
            for start in range(0, len(indices), size):
                yield indices[start : start + size]

    @torch.inference_mode()
    def _predict(self, pixels: NDArray[np.uint8]) -> list[Prediction]:
        """Pictures of one size (B, H, W, 3) -> a prediction for each."""
        num_pictures, height, width, _ = pixels.shape
        images = from_pixels(pixels).to(self.device)
        margin = (0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height))
        with inference_autocast(self.device):
            output: Output = self.network(F.pad(images, margin, mode="replicate") if any(margin) else images).float()
        nothing = [None] * num_pictures
        finite = torch.stack([part.flatten(1).isfinite().all(dim=1) for part in output if part is not None]).all(dim=0).tolist()
        return [
            Prediction(*answer) if whole else BROKEN
            for whole, *answer in zip(
                finite,
                *((nothing,) * 3 if output.logits is None else self._classes(output.logits)),
                nothing if output.restored is None else to_pixels(output.restored[..., :height, :width]),
                nothing if output.presence is None or output.strength is None else self._damages(output.presence, output.strength),
                nothing if output.mask is None else (output.mask[:, 0, :height, :width] > 0).cpu().numpy(),
                strict=True,
            )
        ]

    def _classes(self, logits: Tensor) -> tuple[list[str], list[float], list[dict[str, float]]]:
        """(B, num_classes) -> label, confidence and probabilities of each picture."""
        probabilities = [dict(zip(self.classes, of_one, strict=True)) for of_one in logits.softmax(dim=1).tolist()]
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
