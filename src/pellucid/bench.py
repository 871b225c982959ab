"""The work behind `pellucid bench`: images per second and memory of one model in several engines, as ratios in one run.

Each engine has a process of its own, so that its memory is its own; they take turns for every figure, so that whatever else the machine does
falls on all of them alike.
"""

import gc
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import UserError
from pellucid.inference.backend import Backend
from pellucid.inference.source import is_exported, open_backend

if TYPE_CHECKING:
    from rich.table import Table

TORCH, NATIVE = "torch", "torch-bfloat16"
"""Eager torch in float32, which the others are compared with; and in the precision that `predict` takes, where that is another."""

ENGINES = {"onnx": "onnxruntime", "openvino": "openvino"}
"""The package that each format needs."""

ROUNDS = 5
"""Times that the engines take turns for a figure; the best of each counts."""

MAX_BATCH_PIXELS = 64 * 256 * 256
"""Pixels of a batch beyond which a combination of batch size and size is left out."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Speed and memory of an engine for one batch size and size of images.

    rate: images per second; memory: bytes that the process took at most, above those with the model loaded.
    """

    name: str
    batch_size: int
    side: int
    rate: float
    memory: int


@dataclass(frozen=True, slots=True)
class Results:
    """All figures of a run; stated: what each engine says of its threads and precision; loaded: bytes of each process before any batch."""

    model: str
    figures: tuple[Figure, ...]
    stated: dict[str, str]
    loaded: dict[str, int]

    @property
    def first(self) -> str:
        """The engine that the ratios are to: torch, or else the first one."""
        return next(iter(self.stated))

    def ratio(self, figure: Figure) -> float:
        """How many times as fast as the first engine."""
        return figure.rate / next(each.rate for each in self.figures if _same(each, figure) and each.name == self.first)

    def table(self) -> "Table":
        """Images per second, ratio and memory, a row for each engine, batch size and size."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, title=f"{self.model}: images per second", title_justify="left", padding=0, pad_edge=False)
        for heading in ("size", "batch", "engine", "images/s", f"x {self.first}", "memory"):
            table.add_column(heading, justify="left" if heading == "engine" else "right", no_wrap=True)
        for each in self.figures:
            ratio, memory = f"{self.ratio(each):.2f}", f"{each.memory / 1e6:,.0f} MB"
            table.add_row(str(each.side), str(each.batch_size), each.name, f"{each.rate:,.1f}", ratio, memory)
        return table

    @property
    def notes(self) -> str:
        """What the rows are, a line each."""
        lines = [f"{name}: {stated}; {self.loaded[name] / 1e6:,.0f} MB with the model loaded" for name, stated in self.stated.items()]
        return "\n".join([*lines, f"Best of {ROUNDS} turns each; memory: what a batch takes beside the loaded model, at most."])

    def to_json(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The figures, and where they come from."""
        from pellucid.inference.backend import num_threads
        from pellucid.device import choose_device
        from pellucid.provenance import provenance

        rows = [
            {"engine": each.name, "size": each.side, "batch_size": each.batch_size, "images_per_second": round(each.rate, 2),
             "ratio": round(self.ratio(each), 3), "memory": each.memory}
            for each in self.figures
        ]  # fmt: skip
        about = {"model": self.model, "ratio_to": self.first, "engines": self.stated, "loaded": self.loaded, "threads": num_threads()}
        return provenance(arguments, choose_device("cpu")) | about | {"figures": rows}


def measure(
    model: str,
    formats: Sequence[str] | None = None,
    batch_sizes: Sequence[int] = (1, 64),
    sizes: Sequence[int] = (32, 256),
    seconds: float = 1.0,
    tell: Callable[[str], None] = lambda _: None,
    paths: dict[str, Path] | None = None,
) -> Results:
    """Measure a model; exported on the way, unless it is an exported one, which is measured alone, or `paths` has it by its format.

    Args:
        model: as `Predictor.load` takes it.
        formats: `torch`, `onnx`, `openvino`, and the latter two with `-int8`; those in float32 whose packages are installed by default.
        batch_sizes: images of one batch.
        sizes: height and width of the images, in pixels.
        seconds: about how long each figure is measured.
        tell: is told what is being done.
        paths: exported models by their formats.
    """
    for name, numbers in (("batch sizes", batch_sizes), ("sizes", sizes)):
        if min(numbers) < 1:
            raise UserError(f"Expected {name} of at least 1, found {min(numbers)}.")
    if not seconds > 0:
        raise UserError(f"Expected more than 0 seconds for each figure, found {seconds}.")
    grid = [(side, size) for side in sizes for size in batch_sizes if side * side * size <= MAX_BATCH_PIXELS]
    if not grid:
        raise UserError(f"Expected batches of at most {MAX_BATCH_PIXELS:,} pixels, found larger ones only; choose a smaller size or batch.")
    with tempfile.TemporaryDirectory() as folder:
        sources = _sources(model, formats, Path(folder), dict(paths or {}), tell)
        workers = {name: _Worker(name, source) for name, source in sources.items()}
        try:
            loaded = {name: worker.ask("load") for name, worker in workers.items()}
            figures: list[Figure] = []
            for side, size in grid:
                tell(f"Measuring batches of {size} images of {side} x {side} pixels.")
                memory = {name: worker.ask("prepare", size, side, seconds / ROUNDS) for name, worker in workers.items()}
                turns = [{name: worker.ask("time") for name, worker in workers.items()} for _ in range(ROUNDS)]
                figures += [Figure(name, size, side, size / min(turn[name] for turn in turns), memory[name]) for name in workers]
            return Results(
                model, tuple(figures), {name: each[0] for name, each in loaded.items()}, {name: each[1] for name, each in loaded.items()}
            )
        finally:
            for worker in workers.values():
                worker.stop()


def _same(one: Figure, other: Figure) -> bool:
    return (one.batch_size, one.side) == (other.batch_size, other.side)


def _sources(
    model: str, formats: Sequence[str] | None, folder: Path, paths: dict[str, Path], tell: Callable[[str], None]
) -> dict[str, str | Path]:
    """Each engine and what it opens."""
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
            sources[TORCH] = model
            if _native():
                sources[NATIVE] = model
        elif name in paths:
            sources[name] = paths[name]
        else:
            from pellucid.export import export_model

            format, _, precision = name.partition("-")
            tell(f"Exporting to {name}.")
            out = folder / (f"{name}.onnx" if format == "onnx" else name)
            sources[name] = export_model(model, format, out, int8=precision == "int8").path
    return sources


def _native() -> bool:
    """Whether torch would compute in another precision than float32 here."""
    from pellucid.device import choose_device, choose_precision

    return choose_precision(choose_device("cpu")).name != "32-true"


class _Worker:
    """A process with one engine."""

    def __init__(self, name: str, source: str | Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, name, source), daemon=True)
        self._process.start()
        other.close()

    def ask(self, *question: Any) -> Any:
        """What the process answers; its `UserError` is raised here."""
        self._connection.send(question)
        try:
            answer = self._connection.recv()
        except EOFError:
            raise UserError("Expected memory for the batches, found that a process was ended; choose smaller ones.") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()


def _work(connection: Connection, name: str, source: str | Path) -> None:
    """The loop of a process: `load`, then for each setting `prepare` and several times `time`."""
    backend: Backend | None = None
    images, repeats = np.zeros((1, 3, 8, 8), np.float32), 1
    while True:
        try:
            question, *values = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            if question == "load":
                backend = _open(name, source)
                backend(images)
                connection.send((backend.stated, _memory(peak=False)))
                continue
            assert backend is not None
            if question == "prepare":
                size, side, budget = values
                images = np.random.default_rng(0).random((size, 3, side, side), np.float32)
                gc.collect()
                before = _memory(peak=False)
                _reset_peak()
                backend(images)
                repeats = max(1, round(budget / _seconds(backend, images, 1)))
                connection.send(max(0, _memory(peak=True) - before))
            else:
                connection.send(_seconds(backend, images, repeats))
        except (UserError, MemoryError) as error:
            told = (
                error
                if isinstance(error, UserError)
                else UserError("Expected memory for the batches, found too little; choose smaller ones.")
            )
            connection.send(told)


def _open(name: str, source: str | Path) -> Backend:
    if name != TORCH:
        return open_backend(source, "cpu")[0]
    from pellucid.checkpoint import load_model
    from pellucid.inference.torch_backend import TorchBackend

    return TorchBackend(load_model(source, "cpu")[0], "cpu", exact=True)


def _seconds(backend: Backend, images: Any, repeats: int) -> float:
    """The mean time of one call."""
    start = time.perf_counter()
    for _ in range(repeats):
        backend(images)
    return (time.perf_counter() - start) / repeats


def _memory(peak: bool) -> int:
    """Bytes of this process in memory: now or, since `_reset_peak`, at most; elsewhere than on Linux, since its start."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM" if peak else "VmRSS"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak is then that since the start
