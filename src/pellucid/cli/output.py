"""Measures models for the commands, and prints and writes the figures."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import UserError
from pellucid.evaluation import PROTOCOL_SEED, TRACKS
from pellucid.files import atomic_write, folder, write_json
from pellucid.model_folder import find_model
from pellucid.recipe import measured_splits

if TYPE_CHECKING:
    from rich.console import RenderableType
    from torch import nn

    from pellucid.checkpoint import ModelMetadata
    from pellucid.data import Dataset
    from pellucid.evaluation.evaluate import Evaluation


def check_limit(limit: int | None) -> None:
    """Raise `UserError` for a limit of no images."""
    if limit is not None and limit < 1:
        raise UserError(f"Expected a limit of at least 1 image, found {limit}.")


def check_files(*paths: Path | None) -> None:
    """Raise `UserError` for a file that can't be written, before the figures that it is for are measured."""
    for path in paths:
        if path is not None:
            folder(path.parent)
            if path.is_dir():
                raise UserError(f"Expected a file to write the figures to, found the folder {path}; add a name.")
    wanted = [path.resolve() for path in paths if path is not None]
    if len(set(wanted)) < len(wanted):
        raise UserError(f"Expected a file of its own for each table, found {wanted[0]} twice; choose another name.")


def load_with_images(model: str | Path, data: str | None, source: Path | None, device: str) -> "tuple[nn.Module, ModelMetadata, Dataset]":
    """A model with its metadata, and the test images of a data set, by default that of its training, which must have its classes."""
    folder = find_model(model)  # before torch is imported
    from pellucid.checkpoint import load_model

    network, metadata = load_model(folder, device)
    test = measured_splits(metadata.recipe, metadata.image_size, metadata.data_digest, data, source).test
    test.require_classes(metadata.classes)
    return network, metadata, test


def report_run(folder: Path, network: "nn.Module", metadata: "ModelMetadata", dataset: "Dataset", track: str, limit: int | None) -> None:
    """Evaluate a run, print the figures, and write them and the report into its folder."""
    from pellucid.evaluation.calibration import as_predicted
    from pellucid.evaluation.trust import measure_strengths, measure_trust
    from pellucid.progress import ProgressBar
    from pellucid.reporting import write_report

    evaluation = measure(as_predicted(network, metadata), metadata, dataset, track, limit)
    device = next(network.parameters()).device
    with ProgressBar("reliability") as progress:
        trust = measure_trust(network, metadata, dataset, TRACKS[track], limit=limit, device=device, progress=progress)
    strengths = trust.by_strength() or measure_strengths(network, metadata, dataset, device, limit)
    figures = {"raw": False, "trust": trust.to_json() | {"strengths": strengths}} | origin(network, metadata)
    write_json(folder / "evaluation.json", evaluation.to_json() | figures)
    report = write_report(folder, network, metadata, dataset, evaluation, trust=trust, strengths=strengths)
    print_evaluation(evaluation)
    show(f"The report: {report}")


def measure(network: "nn.Module", metadata: "ModelMetadata", dataset: "Dataset", track: str, limit: int | None = None) -> "Evaluation":
    """Evaluate with a progress bar."""
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.progress import ProgressBar

    device = next(network.parameters()).device
    with ProgressBar(f"track {track}") as progress:
        damages, trained, on = metadata.damages, metadata.trained_kinds, TRACKS[track]
        return evaluate(network, dataset, on, limit=limit, device=device, progress=progress, damages=damages, trained=trained)


def outputs_note(metadata: "ModelMetadata", raw: bool) -> str:
    """Which outputs were measured, as a note below the figures; empty for a model whose predictions are the network's own outputs."""
    parts = [f"temperature {metadata.temperature:.3g}"] * (metadata.temperature != 1) + ["gate"] * (metadata.gate is not None)
    if raw or not parts:
        return f"Outputs: the network's own, without {' and '.join(parts)}, which predict applies." if parts else ""
    return f"Outputs: as predict gives them, with {' and '.join(parts)}; --raw measures the network's own."


def origin(network: "nn.Module", metadata: "ModelMetadata") -> dict[str, Any]:
    """The provenance of figures: how they were measured, and how the network was trained."""
    from pellucid.provenance import provenance

    training = {"trained": metadata.trained, "commit": metadata.commit, "recipe": metadata.recipe}
    device = next(network.parameters()).device
    return provenance(["pellucid", *sys.argv[1:]], device) | {"protocol_seed": PROTOCOL_SEED, "training": training}


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with the columns of the first one."""
    import csv

    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def print_evaluation(evaluation: "Evaluation") -> None:
    """Print the table of an evaluation and its notes."""
    show(evaluation.table())
    show(evaluation.notes)


def show(content: "RenderableType") -> None:
    """Print text or a table; lines are not wrapped."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    console = Console(soft_wrap=True, markup=False, highlight=False)
    if isinstance(content, Table):  # wrapped lines are better than truncated figures
        console.width = max(console.width, Measurement.get(console, console.options.update(max_width=1_000), content).maximum)
    console.print(content)
