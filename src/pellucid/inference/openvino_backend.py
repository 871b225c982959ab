"""An exported model in OpenVINO."""

from pathlib import Path
from threading import Lock

from pellucid.errors import UserError
from pellucid.inference.backend import num_threads
from pellucid.inference.exported import INPUT, METADATA, MODEL_XML, Exported, ExportedMetadata, require
from pellucid.inference.pixels import Floats


class OpenvinoBackend(Exported):
    """The model in a folder, on the CPU. Raises `UserError` if there is no valid model, or no OpenVINO.

    Layers that are not int8 compute in float32: by default, OpenVINO silently uses bfloat16 if the processor supports it.

    Args:
        folder: with `model.xml`, `model.bin` and `pellucid.json`.
    """

    def __init__(self, folder: Path) -> None:
        openvino = require("openvino", "openvino", f"to run {folder}")
        if not (folder / MODEL_XML).is_file():
            raise UserError(f"Expected the folder of an exported model, found no {MODEL_XML} in {folder}; write one by 'pellucid export'.")
        try:
            text = (folder / METADATA).read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            text = None
        metadata = ExportedMetadata.from_json(text, folder)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": num_threads(), "NUM_STREAMS": 1}
        try:
            compiled = openvino.compile_model(str(folder / MODEL_XML), "CPU", settings)
        except Exception as error:  # OpenVINO's errors have no common class
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"Expected a whole OpenVINO model in {folder}, found one that can't be read ({reason}); export it again."
            ) from error
        super().__init__(metadata, f"OpenVINO {openvino.__version__.partition('-')[0]}")
        self._request, self._lock = compiled.create_infer_request(), Lock()
        self._names = [output.get_any_name() for output in compiled.outputs]

    def run(self, images: Floats) -> dict[str, Floats]:
        """Images with height and width multiples of `size_multiple` -> outputs by name."""
        with self._lock:  # a request computes one batch at a time
            results = self._request.infer({INPUT: images})
            return {name: results[name] for name in self._names}
