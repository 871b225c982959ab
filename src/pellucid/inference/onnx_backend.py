"""An exported model in ONNX Runtime."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pellucid.errors import UserError
from pellucid.inference.backend import num_threads
from pellucid.inference.exported import INPUT, Exported, ExportedMetadata, require
from pellucid.inference.pixels import Floats

KEY = "pellucid"
"""Key of the entry in the metadata of an ONNX model."""

SPLIT = 4
"""Batches of at least this number of images for each thread are split among the threads."""


class OnnxBackend(Exported):
    """The model in a file, on the CPU. Raises `UserError` if there is no valid model, or no ONNX Runtime.

    A large batch is split among the threads: ONNX Runtime's int8 convolutions take one image after another, and split each among the
    threads, which hardly pays for small images.

    Args:
        path: of the file `*.onnx`.
    """

    def __init__(self, path: Path) -> None:
        runtime = require("onnxruntime", "onnx", f"to run {path}")
        if not path.is_file():
            raise UserError(f"Expected an exported model, found no file {path}; write one by 'pellucid export MODEL --out {path.name}'.")
        self._threads = num_threads()
        self._session = _open(runtime, path, self._threads)
        self._part_session = self._session if self._threads == 1 else _open(runtime, path, 1)
        self._pool = ThreadPoolExecutor(self._threads)
        metadata = ExportedMetadata.from_json(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)
        super().__init__(metadata, f"ONNX Runtime {runtime.__version__}")
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, images: Floats) -> dict[str, Floats]:
        """Images with height and width multiples of `size_multiple` -> outputs by name."""
        if self._threads == 1 or len(images) < SPLIT * self._threads:
            outputs = self._session.run(self._names, {INPUT: images})
        else:
            parts = self._pool.map(lambda part: self._part_session.run(self._names, {INPUT: part}), np.array_split(images, self._threads))
            outputs = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return dict(zip(self._names, outputs, strict=True))


def _open(runtime: ModuleType, path: Path, threads: int) -> Any:
    """A session of ONNX Runtime with that number of threads."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # it plans memory for a fixed input size, and sizes vary
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"Expected a whole ONNX model in {path}, found one that can't be read ({reason}); export it again.") from error
