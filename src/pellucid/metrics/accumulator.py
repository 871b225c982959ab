"""Accumulates per-image values over batches, and computes metrics from them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.batch import Batch, Output
from pellucid.metrics.classification import confidence, predicted
from pellucid.metrics.damage import restrict_damage
from pellucid.metrics.figures import FIGURES, Columns


def broken(output: Output, _batch: Batch) -> Tensor:
    """1 where any output for an image is not finite, 0 elsewhere: (B,) float32."""
    parts = [part.flatten(1).isfinite().all(dim=1) for part in output if part is not None]
    return (~torch.stack(parts).all(dim=0)).float()


PER_IMAGE = {
    "broken": broken,
    "predicted": predicted,
    "confidence": confidence,
    **{figure.column: figure.measure for figure in FIGURES.values() if figure.measure is not None},
}
"""Per-image values: functions (output, batch) -> (B,) float32, NaN where undefined for an image, `None` where undefined for all.

The strengths of the batch are those of the kinds of damage that the model distinguishes, in the order of its output."""

Scores = dict[str, float | None]

DAMAGED = "damaged"
"""The name of all damaged images among the kinds of damage."""


class Metrics:
    """Metrics over any number of batches.

    Args:
        damages: the kinds of damage that the model distinguishes, in the order of its output. Other kinds in the batch are ignored. If
            empty, neither `damage_correct` nor `strength_error` is computed.

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
        """Adds the images of a batch; the output must have the same fields for every batch."""
        if self.damages and output.presence is not None and output.presence.shape[1] != len(self.damages):
            raise ValueError(
                f"Expected an output for the damages {', '.join(self.damages)}, found one for {output.presence.shape[1]} of them; "
                "give the model's own."
            )
        for kind, strength in batch.damage.strengths.items():
            self._kinds.setdefault(kind, []).append(~strength.isnan().cpu())
        batch = replace(batch, damage=restrict_damage(batch.damage, self.damages))
        self._num_images += len(batch)
        unusable = broken(output, batch) > 0
        for name, measure in PER_IMAGE.items():
            values = measure(output, batch)
            if values is not None:
                if name == "correct":  # wrong, if it has a label
                    values = torch.where(unusable & ~values.isnan(), 0.0, values)
                elif name != "broken":
                    values = values.masked_fill(unusable, torch.nan)
                self._columns[name].append(values.cpu())

    def per_image(self) -> dict[str, Tensor]:
        """The available columns of `PER_IMAGE`, each (N,) float32 on the CPU, images in the order of the updates."""
        return {name: torch.cat(parts) for name, parts in self._columns.items() if parts}

    def compute(self) -> Scores:
        """Metrics over the images for which each is defined, `None` where there are none.

        accuracy: top-1, %; ece: expected calibration error, a fraction from 0 to 1; psnr, mask_psnr, input_psnr: dB; ssim: at most 1;
        damage_correct: images for which the presence of every kind of damage is predicted correctly, %; strength_error: of the kinds that
        are present, relative to the true strength, a fraction; mask_iou: intersection over union of the destroyed pixels, a fraction.
        Unlabelled images count in neither accuracy nor ece. broken: number of images with non-finite outputs; accuracy counts those
        with a label as wrong, and all other metrics exclude them.
        """
        return _scores(self.per_image(), self._num_images)

    def compute_by_kind(self) -> dict[str, Scores]:
        """The metrics of the images with each kind of damage; empty where every image has every kind.

        If some images are undamaged, also those of the `clean` and of all `damaged` ones: the PSNR of undamaged images, 100 dB, dominates
        the mean over all.
        """
        columns = self.per_image()
        groups = {kind: torch.cat(parts) for kind, parts in self._kinds.items()}
        if all(group.all() for group in groups.values()):
            return {}
        clean = ~torch.stack(list(groups.values())).any(dim=0)
        if clean.any():
            groups = {"clean": clean, DAMAGED: ~clean, **groups}
        return {
            kind: _scores({name: column[group] for name, column in columns.items()}, int(group.sum()))
            for kind, group in groups.items()
            if group.any()
        }


def _scores(columns: Columns, num_images: int) -> Scores:
    num_broken = int(columns["broken"].sum()) if "broken" in columns else 0
    return {"num_images": num_images, "broken": num_broken, **{name: figure.of(columns) for name, figure in FIGURES.items()}}
