"""Evaluates a model on a track."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import Tensor, nn

from pellucid.batch import Batch, Damage, Output, from_pixels
from pellucid.data import Dataset
from pellucid.device import inference_autocast
from pellucid.errors import UserError
from pellucid.evaluation.tracks import PAIRS, Level, Track, apply_damage, seen_groups
from pellucid.metrics import BROKEN_MARK, BROKEN_NOTE, FIGURES, Figure, Metrics, Scores, figure_text

Progress = Callable[[int, int], None]
"""Called after each batch with the number of images done, over all levels, and the total."""

BATCH_PIXELS = 500 * 32 * 32
"""Maximum number of pixels of a batch of several images: damage takes a multiple of their memory."""

UNSEEN = "unseen"
"""Name of the mean over the groups of levels that a model has not seen in its training."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one model on one track; units as in `Metrics.compute`.

    dataset, split: the evaluated images, see `Dataset`; num_images: their number, the first ones; metrics: means over the levels, for
    `broken` the sum; levels: the figures of each level of a track with several; kinds: the figures of the images that have each
    kind of damage, where the track draws it for each image; per_image: for every level, the columns of `Metrics.per_image`, in the order
    of the data set, for paired tests; groups: of a track with groups of levels the mean over each, and over all that are not seen, if
    there are any, as `UNSEEN`; seen: the groups whose damage the model has trained on.
    """

    track: str
    dataset: str
    split: str
    num_images: int
    metrics: Scores
    levels: dict[str, Scores]
    per_image: dict[str, dict[str, Tensor]] = field(repr=False, compare=False)
    kinds: dict[str, Scores] = field(default_factory=dict)
    groups: dict[str, Scores] = field(default_factory=dict)
    seen: tuple[str, ...] = ()

    @property
    def images(self) -> str:
        """The evaluated images, as text: `10,000 test images of cifar10`."""
        return f"{self.num_images:,} {self.split} images of {self.dataset}"

    def to_json(self) -> dict[str, Any]:
        """The figures as written by the command line; undefined figures are null, and only tracks with several levels have `levels`."""
        parts: dict[str, Any] = {name: part for name in ("groups", "levels", "kinds") if (part := getattr(self, name))}
        if self.groups:
            parts["seen"] = list(self.seen)
        measured = {"track": self.track, "dataset": self.dataset, "split": self.split, "num_images": self.num_images}
        return {**measured, **self.metrics, **parts}

    def rows(self) -> dict[str, Scores]:
        """The figures of each level, group of levels or kind of damage by name, followed by those of the track."""
        if self.groups:
            return {f"{name} (seen)" if name in self.seen else name: scores for name, scores in self.groups.items()} | {
                "mean": self.metrics
            }
        kinds = {f"{kind.replace('_', ' ')} ({scores['num_images']:,})": scores for kind, scores in self.kinds.items()}
        return {**self.levels, **kinds, "mean" if self.levels or kinds else self.track: self.metrics}

    @property
    def shown(self) -> dict[str, Figure]:
        """The columns of the table: the defined figures."""
        return {name: figure for name, figure in FIGURES.items() if self.metrics[name] is not None}

    @property
    def notes(self) -> str:
        """Notes below the table, a line each: the meaning of columns, and non-finite outputs."""
        notes = [f"{figure.heading}: {figure.meaning}" for figure in self.shown.values() if figure.explained]
        if self.metrics["broken"]:
            notes.append(f"{BROKEN_MARK}: {self.metrics['broken']:,} {BROKEN_NOTE}.")
        return "\n".join(notes)

    def table(self) -> Table:
        """The defined figures of `rows`, as a table."""
        shown = self.shown
        title = f"{self.track}, {self.images}"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False, min_width=len(title) + 1)
        table.add_column("level")
        for figure in shown.values():
            table.add_column(figure.heading.replace(" ", "\n"), justify="right", no_wrap=True)
        for level, scores in self.rows().items():
            table.add_row(level, *(figure_text(scores, name) for name in shown))
        return table


@torch.inference_mode()
def evaluate(
    model: Callable[..., Output],
    dataset: Dataset,
    track: Track,
    *,
    batch_size: int = 500,
    limit: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    damages: Sequence[str] = (),
    trained: Collection[str] = (),
    whole_batch: bool = False,
    precision: str = "auto",
) -> Evaluation:
    """Evaluates a model on a track: a network in evaluation mode on `device`, or any function of degraded images (B, 3, H, W).

    limit: maximum number of images, the first ones; damages: the kinds of damage that the model distinguishes, `ModelMetadata.damages`;
    trained: those that it was trained on, `ModelMetadata.trained_kinds`; whole_batch: the model is a function of the `Batch`, such as a
    method that uses the true mask. The damage of an image depends on its index in `dataset`; see `apply_damage`. The network computes in
    `precision`, see `resolve_precision`, the metrics in float32. Raises `UserError` if there are no images."""
    if isinstance(model, nn.Module) and model.training:
        raise ValueError("Expected a model in evaluation mode, found it in training mode; call model.eval() first.")
    num_images = num_measured(dataset, limit)
    total, done = num_images * len(track.levels), 0
    accumulators = {}
    for level in track.levels:
        accumulators[level.name] = metrics = Metrics(damages)
        for batch in batches(dataset, track, level, num_images, batch_size, device):
            with inference_autocast(batch.clean.device, precision):
                output = model(batch if whole_batch else batch.degraded)
            if track.name == PAIRS:  # the kinds and places of real damage are not known
                output = output._replace(presence=None, strength=None, mask=None)
            metrics.update(output.float(), batch)
            done += len(batch)
            if progress is not None:
                progress(done, total)
    levels = {name: metrics.compute() for name, metrics in accumulators.items()}
    return Evaluation(
        track=track.name,
        dataset=dataset.name,
        split=dataset.split,
        num_images=num_images,
        metrics=_mean_over(list(levels.values())),
        levels=levels if len(levels) > 1 else {},
        per_image={name: metrics.per_image() for name, metrics in accumulators.items()},
        kinds=accumulators[track.levels[0].name].compute_by_kind() if len(track.levels) == 1 else {},
        groups=_by_group(track, levels, seen_groups(track, trained)),
        seen=seen_groups(track, trained),
    )


def num_measured(dataset: Dataset, limit: int | None) -> int:
    """The number of images of a data set up to a limit; raises `UserError` if there are none."""
    num_images = len(dataset) if limit is None else min(limit, len(dataset))
    if num_images < 1:
        raise UserError("Expected at least one image to evaluate on, found none; check the data set and the limit.")
    return num_images


def batches(
    dataset: Dataset, track: Track, level: Level, num_images: int, batch_size: int, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """The first images of a data set, in order, with the damage of a track, on `device`; large ones in smaller batches."""
    height, width = dataset.size
    batch_size = max(1, min(batch_size, BATCH_PIXELS // (height * width)))
    for start in range(0, num_images, batch_size):
        yield load_batch(dataset, track, level, range(start, min(start + batch_size, num_images)), device)


def load_batch(dataset: Dataset, track: Track, level: Level, indices: Sequence[int], device: torch.device | str = "cpu") -> Batch:
    """The images at `indices` of a data set, with the damage of a track, on `device`."""
    part = slice(indices.start, indices.stop) if isinstance(indices, range) else list(indices)
    clean = from_pixels(dataset.images[part])
    labels = torch.tensor(dataset.labels[part])
    given = clean
    if track.name == PAIRS:
        if dataset.damaged is None:
            raise UserError(
                f"Expected a data set with damaged versions of its images for track '{PAIRS}', found {dataset.name}; choose another."
            )
        given = from_pixels(dataset.damaged[part])
    degraded, damage = apply_damage(track, level, given, indices)
    damage = Damage({name: strength.to(device) for name, strength in damage.strengths.items()}, damage.mask.to(device))
    return Batch(clean.to(device), degraded.to(device), labels.to(device), damage)


def _by_group(track: Track, levels: dict[str, Scores], seen: Collection[str]) -> dict[str, Scores]:
    """The means over the levels of each group, and over those of all groups that are not seen."""
    members = {group: [levels[level.name] for level in track.levels if level.group == group] for group in track.groups}
    unseen = [scores for group, several in members.items() if group not in seen for scores in several]
    means = {group: _mean_over(several) for group, several in members.items()}
    return means | {UNSEEN: _mean_over(unseen)} if unseen else means


def _mean_over(levels: list[Scores]) -> Scores:
    """The mean of each figure over the levels that have it; all have the same images."""
    means = dict(levels[0]) | {"broken": sum(scores["broken"] or 0 for scores in levels)}  # keeps num_images a whole number
    for name in FIGURES:
        known = [figure for scores in levels if (figure := scores[name]) is not None]
        means[name] = sum(known) / len(known) if known else None
    return means
