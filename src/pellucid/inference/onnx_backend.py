"""An exported model in ONNX Runtime."""

from pathlib import Path

from pellucid.errors import UserError
from pellucid.inference.backend import num_threads
from pellucid.inference.exported import INPUT, Exported, ExportedMetadata, require
from pellucid.inference.pixels import Floats

KEY = "pellucid"
"""Key of the entry in the metadata of an ONNX model."""


class OnnxBackend(Exported):
    """The model in a file, on the CPU. Raises `UserError` if there is no valid model, or no ONNX Runtime.

    Args:
        path: of the file `*.onnx`.
    """

    def __init__(self, path: Path) -> None:
        runtime = require("onnxruntime", "onnx", f"to run {path}")
        if not path.is_file():
            raise UserError(f"Expected an exported model, found no file {path}; write one by 'pellucid export MODEL --out {path.name}'.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = num_threads()
        options.enable_mem_pattern = False  # it plans memory for a fixed input size, and sizes vary
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common class
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"Expected a whole ONNX model in {path}, found one that can't be read ({reason}); export it again.") from error
        metadata = ExportedMetadata.from_json(self._session.get_modelmeta().custom_metadata_map.get(KEY), path)
        super().__init__(metadata, f"ONNX Runtime {runtime.__version__}")
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, images: Floats) -> dict[str, Floats]:
        """Images with height and width multiples of `size_multiple` -> outputs by name."""
        return dict(zip(self._names, self._session.run(self._names, {INPUT: images}), strict=True))
