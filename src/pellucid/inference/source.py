"""Opens a model, a torch network or an exported one, with its engine."""

from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import UserError
from pellucid.inference.backend import Backend
from pellucid.inference.exported import MODEL_XML, ONNX, ExportedMetadata
from pellucid.model_folder import find_model

if TYPE_CHECKING:
    import torch

    from pellucid.checkpoint import ModelMetadata

DEFAULT_IMAGE_SIZE = 32
"""Default shorter side of the training images in pixels, if it was not recorded."""


def is_exported(source: str | Path | None) -> bool:
    """Whether `source` is the path of an exported model, by its ending or the files in the folder."""
    return source is not None and (Path(source).suffix.lower() in (ONNX, ".xml") or (Path(source) / MODEL_XML).is_file())


def check_model(source: str | Path | None) -> None:
    """Raise `UserError` if there is no model, exported or not; imports neither torch nor an engine."""
    if source is None or not is_exported(source):
        find_model(source)
    elif not Path(source).exists():
        raise UserError(f"Expected an exported model, found no file {source}; write one by 'pellucid export MODEL --out {source}'.")


def open_backend(source: str | Path | None, device: "torch.device | str" = "auto") -> "tuple[Backend, ModelMetadata | ExportedMetadata]":
    """The backend for a model, exported or not, and its metadata. Raises `UserError` if there is no valid model."""
    if source is None or not is_exported(source):
        folder = find_model(source)  # before torch is imported, since a missing model is a frequent mistake
        try:
            from pellucid.checkpoint import load_model
        except ModuleNotFoundError as error:
            raise UserError(
                f"Expected torch for the model {source or 'bundled'}, found no {error.name} installed; install all of Pellucid by pip "
                "install pellucid, or give an exported model, MODEL.onnx."
            ) from error
        from pellucid.inference.torch_backend import TorchBackend

        network, metadata = load_model(folder, device)
        return TorchBackend(network, device), metadata
    if str(device) not in ("auto", "cpu"):
        raise UserError(f"Expected cpu for the exported model {source}, found '{device}'; exported models run on the CPU.")
    path = Path(source)
    if path.suffix.lower() == ONNX:
        from pellucid.inference.onnx_backend import OnnxBackend

        onnx = OnnxBackend(path)
        return onnx, onnx.metadata
    if path.is_file() and path.name != MODEL_XML:
        raise UserError(f"Expected {MODEL_XML} of an exported model, or its folder, found {path}; name the folder.")
    from pellucid.inference.openvino_backend import OpenvinoBackend

    openvino = OpenvinoBackend(path if path.is_dir() else path.parent)
    return openvino, openvino.metadata
