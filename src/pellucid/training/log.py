"""The training log: progress bar, TensorBoard and JSON lines."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich import get_console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from pellucid.batch import Batch, Output
from pellucid.files import atomic_write
from pellucid.labels import UNLABELLED
from pellucid.objectives.joint import Losses
from pellucid.progress import Heartbeat
from pellucid.training.gradients import Gradients

if TYPE_CHECKING:
    from lightning_fabric import Fabric

NUM_RECORDS = 500
"""Approximate number of points of each curve."""


class TrainingLog:
    """Displays and records the training progress, in the first process only.

    Args:
        fabric: its loggers receive the scalars and image grids.
        path: JSON lines file, one line per record: step, progress, seconds, learning_rate_factor, loss and, for each trained task, its
            loss and its training metric (accuracy in %, psnr in dB, both on the degraded, augmented images of the batch); with adaptive
            weights, restoration_weight; in joint training, about twenty records have gradient_cosine and gradient_ratio by layer. `loss`
            is the total loss with the configured weight, for every balance.
        examples: images whose restoration is logged after every epoch.
        header: properties of the whole run, such as its precision: printed at its start, and the first line of the file.
    """

    def __init__(self, fabric: "Fabric", path: Path, examples: Batch | None = None, header: Mapping[str, str] | None = None) -> None:
        self.fabric, self.path, self.examples, self.header = fabric, path, examples, dict(header or {})
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            disable=not (fabric.is_global_zero and get_console().is_terminal),
        )
        self.heartbeat = Heartbeat(self.progress.console)
        self._figures = ""
        self._every, self._recorded = 1, 0.0

    @contextmanager
    def open(self, num_steps: int, step: int, progress: float) -> Iterator[None]:
        """Log a training of `num_steps` from `step` on, with `progress` of it done; records of an earlier run after `step` are dropped."""
        self._every, self._recorded = max(1, num_steps // NUM_RECORDS), progress
        if self.fabric.is_global_zero:
            records = [record for record in read_log(self.path) if record["step"] <= step]
            with atomic_write(self.path) as path:
                path.write_text("".join(json.dumps(record) + "\n" for record in [self.header, *records]))
            if step:
                self._drop_events(step)
            for name, value in self.header.items():
                self.progress.console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
        self._task = self.progress.add_task("training", total=1.0, figures="")
        self.advance(progress)
        with self.progress:
            yield

    def _drop_events(self, step: int) -> None:
        """Make TensorBoard ignore the events after `step` that are in its files, those of an earlier run."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        for logger in self.fabric.loggers:
            logger.experiment.file_writer.add_event(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def warn(self, message: str) -> None:
        """Print a warning."""
        self.progress.console.print(f"warning: {message}", markup=False, highlight=False, soft_wrap=True)

    def advance(self, progress: float) -> None:
        """Update the displayed progress."""
        self.progress.update(self._task, completed=progress)
        if self.fabric.is_global_zero:
            self.heartbeat.beat(lambda: f"training: {progress:.1%} done  {self._figures}")

    def step(
        self,
        step: int,
        progress: float,
        factor: float,
        seconds: float,
        batch: Batch,
        output: Output,
        losses: Losses,
        weight: Tensor | float,
        gradients: Gradients | None = None,
    ) -> None:
        """Record a training step: the progress before it, the learning-rate factor, and the results of the batch.

        weight: ratio of the restoration weight to the classification weight.
        """
        # With a time limit, `num_steps` may be far more than there will be.
        due = step % self._every == 0 or gradients is not None or progress - self._recorded > 1 / NUM_RECORDS
        if not due or not self.fabric.is_global_zero:
            return
        self._recorded = progress
        figures = {"loss": losses.total, **_classification(output, batch, losses), **_restoration(output, batch, losses)}
        if losses.tasks() is not None and isinstance(weight, Tensor):
            figures["restoration_weight"] = weight
        record = {"step": step, "progress": round(progress, 5), "seconds": round(seconds, 2), "learning_rate_factor": round(factor, 5)}
        record |= {name: round(float(value.detach()), 5) for name, value in figures.items()}
        compared = {} if gradients is None else {f"gradient_{name}": by_layer for name, by_layer in asdict(gradients).items()}
        compared = {name: {layer: round(value, 5) for layer, value in by_layer.items()} for name, by_layer in compared.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(record | compared) + "\n")
        self.fabric.log_dict({f"train/{name}": value for name, value in record.items() if name != "step"}, step=step)
        self.fabric.log_dict(
            {f"{name}/{layer}": value for name, by_layer in compared.items() for layer, value in by_layer.items()}, step=step
        )
        shown = [f"{record[name]:.1f} {unit}" for name, unit in (("accuracy", "%"), ("psnr", "dB")) if name in record]
        if seconds > 0:  # the rate since the start of the training, earlier calls included
            shown.append(f"{step * len(batch) * self.fabric.world_size / seconds:,.0f} images/s")
        self._figures = "  ".join(shown)
        self.progress.update(self._task, figures=self._figures)

    def epoch(self, step: int, model: nn.Module) -> None:
        """Log the examples: clean, degraded, and restored with the current weights."""
        if self.examples is None or not self.fabric.is_global_zero:
            return
        training = model.training
        with torch.no_grad():
            restored = model.eval()(self.examples.degraded).restored
        model.train(training)
        rows = [self.examples.clean, self.examples.degraded] + ([restored.clamp(0, 1)] if restored is not None else [])
        grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
        for logger in self.fabric.loggers:
            logger.experiment.add_image("clean, damaged, restored", grid.float().cpu(), step)


def _classification(output: Output, batch: Batch, losses: Losses) -> dict[str, Tensor]:
    if output.logits is None or losses.classification is None:
        return {}
    labelled = batch.labels != UNLABELLED
    correct = (output.logits.argmax(1) == batch.labels) & labelled
    return {"classification_loss": losses.classification, "accuracy": 100 * correct.sum() / labelled.sum().clamp(min=1)}


def _restoration(output: Output, batch: Batch, losses: Losses) -> dict[str, Tensor]:
    if output.restored is None or losses.restoration is None:
        return {}
    error = (output.restored.detach().float().clamp(0, 1) - batch.clean).square().mean((1, 2, 3))
    return {"restoration_loss": losses.restoration, "psnr": -10 * error.clamp(min=1e-10).log10().mean()}


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a training log, without the header; an incomplete last line is dropped."""
    records = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return [record for record in records if "step" in record]
