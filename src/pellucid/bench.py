"""`pellucid bench`: images per second and memory of one model in several engines, as ratios in one run.

Each engine runs in its own process, to measure its memory; they take turns for every figure, so that other load affects all of them
equally.
"""

import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.bench_worker import TORCH, Worker
from pellucid.errors import UserError
from pellucid.inference.backend import num_threads
from pellucid.inference.exported import threads_text
from pellucid.inference.source import check_model, is_exported

if TYPE_CHECKING:
    from rich.table import Table

NATIVE = "torch-bfloat16"
"""Torch in the precision of `predict`, if that is not float32."""

ENGINES = {"onnx": "onnxruntime", "openvino": "openvino"}
"""The package that each format needs."""

ROUNDS = 5
"""Number of turns for each figure; the best counts."""

MAX_BATCH_PIXELS = 64 * 256 * 256
"""Maximum number of pixels of a batch; combinations with more are omitted."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Speed and memory of an engine for one batch size and size of images.

    rate: images per second; memory: peak memory in bytes, beyond that with the loaded model.
    """

    name: str
    batch_size: int
    side: int
    rate: float
    memory: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All measurements of a run; stated: description of each engine; loaded: memory of each process with the loaded model, in bytes."""

    model: str
    figures: tuple[Measurement, ...]
    stated: dict[str, str]
    loaded: dict[str, int]

    @property
    def first(self) -> str:
        """The baseline of the ratios: torch, or else the first engine."""
        return next(iter(self.stated))

    def ratio(self, figure: Measurement) -> float:
        """The speed relative to the first engine."""
        return figure.rate / self._baseline(figure).rate

    def total_memory(self, figure: Measurement) -> int:
        """Peak memory of the engine's process in bytes, with the model."""
        return self.loaded[figure.name] + figure.memory

    def memory_ratio(self, figure: Measurement) -> float:
        """The peak memory relative to that of the first engine."""
        return self.total_memory(figure) / self.total_memory(self._baseline(figure))

    def _baseline(self, figure: Measurement) -> Measurement:
        """The measurement of the first engine with the same batches."""
        batches = figure.batch_size, figure.side
        return next(each for each in self.figures if each.name == self.first and (each.batch_size, each.side) == batches)

    def table(self) -> "Table":
        """Images per second and memory with their ratios, a row for each engine, batch size and size."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, title=f"{self.model}: speed and memory", title_justify="left", padding=0, pad_edge=False)
        for heading in ("size", "batch", "engine", "images/s", f"x {self.first}", "memory", f"x {self.first}"):
            table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
        for each in self.figures:
            speed = f"{each.rate:,.1f}", f"{self.ratio(each):.2f}"
            memory = f"{self.total_memory(each) / 1e6:,.0f} MB", f"{self.memory_ratio(each):.2f}"
            table.add_row(str(each.side), str(each.batch_size), each.name, *speed, *memory)
        return table

    @property
    def notes(self) -> str:
        """Notes on the rows, a line each."""
        lines = [f"{name}: {stated}; {self.loaded[name] / 1e6:,.0f} MB before the first batch" for name, stated in self.stated.items()]
        return "\n".join([*lines, f"Best of {ROUNDS} turns each; memory: the peak of the engine's process, with the model."])

    def to_json(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The figures and their provenance."""
        from pellucid.provenance import stamp

        rows = [
            {"engine": each.name, "size": each.side, "batch_size": each.batch_size, "images_per_second": round(each.rate, 2),
             "ratio": round(self.ratio(each), 3), "memory": each.memory, "memory_ratio": round(self.memory_ratio(each), 3)}
            for each in self.figures
        ]  # fmt: skip
        about = {"model": self.model, "ratio_to": self.first, "engines": self.stated, "loaded": self.loaded}
        device = f"CPU, {platform.machine()}, {threads_text(num_threads())}"
        return stamp(arguments, device) | about | {"figures": rows}


def run_benchmark(
    model: str,
    formats: Sequence[str] | None = None,
    batch_sizes: Sequence[int] = (1, 64),
    sizes: Sequence[int] = (32, 256),
    seconds: float = 1.0,
    log: Callable[[str], None] = lambda _: None,
    paths: dict[str, Path] | None = None,
) -> Benchmark:
    """Measure a model in several formats, exporting it if necessary; an exported model is measured alone.

    Args:
        model: as for `Predictor.load`.
        formats: `torch`, `onnx`, `openvino`, and the latter two with `-int8`; those in float32 whose packages are installed by default.
        batch_sizes: images of one batch.
        sizes: height and width of the images, in pixels.
        seconds: approximate duration of each measurement.
        log: called with a message at each step.
        paths: existing exported models by format.
    """
    for name, numbers in (("batch sizes", batch_sizes), ("sizes", sizes)):
        if min(numbers) < 1:
            raise UserError(f"Expected {name} of at least 1, found {min(numbers)}.")
    if not seconds > 0:
        raise UserError(f"Expected more than 0 seconds for each figure, found {seconds}.")
    grid = [(side, size) for side in sizes for size in batch_sizes if side * side * size <= MAX_BATCH_PIXELS]
    grid.sort(key=lambda each: each[0] ** 2 * each[1])  # allocators keep what a larger batch took
    if not grid:
        raise UserError(f"Expected batches of at most {MAX_BATCH_PIXELS:,} pixels, found larger ones only; choose a smaller size or batch.")
    check_model(model)  # before torch and the engines are imported
    with tempfile.TemporaryDirectory() as folder:
        sources = _sources(model, formats, Path(folder), dict(paths or {}), log)
        workers = {name: Worker(name, source) for name, source in sources.items()}
        try:
            loaded = {name: worker.call("load") for name, worker in workers.items()}
            figures: list[Measurement] = []
            for side, size in grid:
                log(f"Measuring batches of {size} images of {side} x {side} pixels.")
                peaks = {name: worker.call("prepare", size, side, seconds / ROUNDS) for name, worker in workers.items()}
                turns = [{name: worker.call("time") for name, worker in workers.items()} for _ in range(ROUNDS)]
                figures += [
                    Measurement(name, size, side, size / min(turn[name] for turn in turns), max(0, peaks[name] - loaded[name][1]))
                    for name in workers
                ]
            return Benchmark(
                model, tuple(figures), {name: each[0] for name, each in loaded.items()}, {name: each[1] for name, each in loaded.items()}
            )
        finally:
            for worker in workers.values():
                worker.stop()


def _sources(
    model: str, formats: Sequence[str] | None, folder: Path, paths: dict[str, Path], log: Callable[[str], None]
) -> dict[str, str | Path]:
    if is_exported(model):
        if formats:
            raise UserError(f"Expected no formats for an exported model, found {', '.join(formats)}; bench the model that it was made of.")
        return {Path(model).name: model}
    chosen = list(
        dict.fromkeys(formats or [TORCH, *(name for name, package in ENGINES.items() if find_spec(package) and find_spec("onnx"))])
    )
    sources: dict[str, str | Path] = {}
    for name in sorted(chosen, key=lambda each: each != TORCH):
        if name == TORCH:
            from pellucid.device import choose_device, choose_precision

            sources[TORCH] = model
            if choose_precision(choose_device("cpu")).name != "32-true":
                sources[NATIVE] = model
        elif name in paths:
            sources[name] = paths[name]
        else:
            from pellucid.export import export_model

            format, _, precision = name.partition("-")
            log(f"Exporting to {name}.")
            out = folder / (f"{name}.onnx" if format == "onnx" else name)
            sources[name] = export_model(model, format, out, int8=precision == "int8").path
    return sources
