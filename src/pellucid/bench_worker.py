"""Worker process of `pellucid bench`, which measures one engine."""

import gc
import multiprocessing
import signal
import sys
import time
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import UserError
from pellucid.inference.backend import Backend
from pellucid.inference.source import open_backend

TORCH = "torch"
"""Eager torch in float32, the baseline."""


class Worker:
    """A process with one engine."""

    def __init__(self, name: str, source: str | Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, name, source), daemon=True)
        if can_block := hasattr(signal, "pthread_sigmask"):  # Ctrl-C is for this process, which ends the other
            resource_tracker.ensure_running()  # the first process starts it, which unblocks Ctrl-C
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process.start()
        if can_block:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other.close()

    def call(self, *request: Any) -> Any:
        """Send a request and return the result; a `UserError` of the process is raised here."""
        try:
            self._connection.send(request)
            result = self._connection.recv()
        except (EOFError, ConnectionError):
            raise UserError("Expected memory for the batches, found that a process was ended; choose smaller ones.") from None
        if isinstance(result, Exception):
            raise result
        return result

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _work(connection: Connection, name: str, source: str | Path) -> None:
    """The loop of a worker: `load`, then for each setting `prepare` and several times `time`."""
    backend: Backend | None = None
    images, repeats = np.zeros((1, 3, 8, 8), np.float32), 1
    while True:
        try:
            request, *values = connection.recv()
        except EOFError:
            return
        try:
            if request == "load":
                backend = _open(name, source)
                backend(images)
                connection.send((backend.stated, _memory(peak=False)))
                continue
            assert backend is not None
            if request == "prepare":
                size, side, budget = values
                images = np.random.default_rng(0).random((size, 3, side, side), np.float32)
                gc.collect()
                _reset_peak()
                backend(images)
                repeats = max(1, round(budget / _seconds(backend, images, 1)))
                connection.send(_memory(peak=True))
            else:
                connection.send(_seconds(backend, images, repeats))
        except UserError as error:
            connection.send(error)
        except MemoryError:
            connection.send(UserError("Expected memory for the batches, found too little; choose smaller ones."))


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
    """Resident memory of this process in bytes: current, or the peak since `_reset_peak`; on other systems than Linux since its start."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM" if peak else "VmRSS"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        memory = psutil.Process().memory_info()
        return int(memory.peak_wset if peak else memory.rss)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak is then that since the start
