"""From batches to figures: collects what is known of each image and takes the means."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.metrics.classification import confidence, predicted
from pellucid.metrics.damage import known
from pellucid.metrics.figures import FIGURES, Columns


def broken(output: Output, _batch: Batch) -> Tensor:
    """1 where anything that the model says of an image is not a finite number, 0 elsewhere: (B,) float32."""
    parts = [part.flatten(1).isfinite().all(dim=1) for part in output if part is not None]
    return (~torch.stack(parts).all(dim=0)).float()


PER_IMAGE = {
    "broken": broken,
    "predicted": predicted,
    "confidence": confidence,
    **{figure.column: figure.measure for figure in FIGURES.values() if figure.measure is not None},
}
"""What is measured of each image: functions (output, batch) -> (B,) float32, NaN where it has no meaning, `None` where nothing can have.

The strengths of the batch are those of the kinds of damage that the model knows, in the order of its output."""

Scores = dict[str, float | None]


class Metrics:
    """Figures over any number of batches.

    Args:
        damages: the kinds of damage that the model tells apart, in the order of its output. A kind of the batch that is not among them does
            not count. Without names neither `damage_correct` nor `strength_error` is measured.

    >>> from pellucid.batch import Damage
    >>> images = torch.full((2, 3, 16, 16), 0.5)
    >>> batch = Batch(images, images, torch.tensor([1, -1]), Damage({}, torch.zeros(2, 1, 16, 16, dtype=torch.bool)))
    >>> metrics = Metrics()
    >>> metrics.update(Output(logits=torch.tensor([[0.0, 9.0], [9.0, 0.0]]), restored=images + 0.1), batch)
    >>> {name: round(figure, 3) for name, figure in metrics.compute().items() if figure is not None}
    {'num_images': 2, 'broken': 0, 'accuracy': 100.0, 'ece': 0.0, 'psnr': 20.0, 'ssim': 0.984, 'input_psnr': 100.0}
    """

    def __init__(self, damages: Sequence[str] = ()) -> None:
        self.damages = tuple(damages)
        self._num_images = 0
        self._columns: dict[str, list[Tensor]] = {name: [] for name in PER_IMAGE}
        self._kinds: dict[str, list[Tensor]] = {}

    @torch.inference_mode()
    def update(self, output: Output, batch: Batch) -> None:
        """Adds the images of a batch; a model must answer every batch with the same fields."""
        if self.damages and output.presence is not None and output.presence.shape[1] != len(self.damages):
            raise ValueError(
                f"Expected an output for the damages {', '.join(self.damages)}, found one for {output.presence.shape[1]} of them; "
                "give the model's own."
            )
        for kind, strength in batch.damage.strengths.items():
            self._kinds.setdefault(kind, []).append(~strength.isnan().cpu())
        batch = replace(batch, damage=known(batch.damage, self.damages))
        self._num_images += len(batch)
        unusable = broken(output, batch) > 0
        for name, measure in PER_IMAGE.items():
            values = measure(output, batch)
            if values is not None:
                kept = values if name in ("broken", "correct") else values.masked_fill(unusable, torch.nan)
                self._columns[name].append(kept.cpu())

    def per_image(self) -> dict[str, Tensor]:
        """The columns of `PER_IMAGE` that were measured, each (N,) float32 on the CPU, images in the order in which they came."""
        return {name: torch.cat(parts) for name, parts in self._columns.items() if parts}

    def compute(self) -> Scores:
        """Means over the images that a figure has a meaning for, `None` where that is none of them.

        accuracy: top-1, %; ece: expected calibration error, a fraction from 0 to 1; psnr, hole_psnr, input_psnr: dB; ssim: at most 1;
        damage_correct: images of which every kind of damage is rightly said to be there or not, %; strength_error: of the kinds that are
        there, relative to the true strength, a fraction; hole_iou: destroyed pixels found over those destroyed or found, a fraction.
        Unlabelled images count in neither accuracy nor ece. broken: how many outputs have a number in them that is not finite; those
        images are named wrong, and no other figure has them.
        """
        return _scores(self.per_image(), self._num_images)

    def compute_by_kind(self) -> dict[str, Scores]:
        """The figures of the images that have each kind of damage, and of the `clean` ones; empty where all images have the same kinds."""
        columns = self.per_image()
        groups = {kind: torch.cat(parts) for kind, parts in self._kinds.items()}
        if all(group.all() for group in groups.values()):
            return {}
        groups = {"clean": ~torch.stack(list(groups.values())).any(dim=0), **groups}
        return {
            kind: _scores({name: column[group] for name, column in columns.items()}, int(group.sum()))
            for kind, group in groups.items()
            if group.any()
        }


def _scores(columns: Columns, num_images: int) -> Scores:
    num_broken = int(columns["broken"].sum()) if "broken" in columns else 0
    return {"num_images": num_images, "broken": num_broken, **{name: figure.of(columns) for name, figure in FIGURES.items()}}
