"""Exported models: their metadata, and the common base of their backends."""

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from pellucid.errors import UserError
from pellucid.inference.backend import Outputs, num_threads
from pellucid.inference.pixels import Floats, pad_to_size
from pellucid.models.gate import Gate

EXPORT_FORMAT = 1
"""Version of the metadata, incremented on incompatible changes."""

ONNX, MODEL_XML, METADATA = ".onnx", "model.xml", "pellucid.json"
"""Ending of ONNX models; files of the network and of the metadata in the folder of an OpenVINO model."""

OPENVINO_FILES = (MODEL_XML, "model.bin", METADATA)
"""All files of the folder of an OpenVINO model."""

INPUT = "images"
"""Name of the input, (B, 3, H, W); the outputs have the names of the fields of `Outputs`."""


@dataclass(frozen=True)
class ExportedMetadata:
    """Metadata of an exported model for the predictor; in an ONNX file, the entry `pellucid` of its metadata, as JSON.

    size_multiple: height and width of the input are multiples of it; reach, max_pixels, multiple: see `Backend`; precision: `float32` or
    `int8`; cost: what int8 cost in accuracy (points) and PSNR (dB), and on which images; tasks, temperature, gate, least_evidence: see
    `ModelMetadata`; input: description of the input; made: version of Pellucid and commit of the model; units: of the strengths of the
    kinds of damage, for readers without Pellucid.
    """

    classes: tuple[str, ...]
    damages: tuple[str, ...]
    image_size: int
    size_multiple: int
    multiple: int
    reach: int | None
    max_pixels: int
    precision: str = "float32"
    cost: dict[str, Any] | None = None
    tasks: str = "both"
    temperature: float = 1.0
    gate: Gate | None = None
    least_evidence: float | None = None
    input: str = "RGB in [0, 1], (B, 3, H, W), float32; H and W multiples of size_multiple, the last row and column repeated"
    made: str = ""
    units: tuple[str, ...] = ()
    format: int = EXPORT_FORMAT

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> Self:
        """Parse metadata; raises `UserError` if they are missing, or of another version."""
        try:
            content = json.loads(text or "null")
            if not isinstance(content, dict) or "size_multiple" not in content:
                raise UserError(
                    f"Expected a model that Pellucid has exported, found another in {path}; write one by "
                    f"'pellucid export MODEL --out {path.name}'."
                )
            if content.get("format") != EXPORT_FORMAT:
                raise UserError(
                    f"Expected an exported model of format {EXPORT_FORMAT} in {path}, found {content.get('format')}; export it again "
                    "with this version."
                )
            known = {field.name for field in fields(cls)}
            values: dict[str, Any] = {
                name: tuple(value) if name in ("classes", "damages", "units") else value for name, value in content.items() if name in known
            }
            values["gate"] = Gate(**gate) if (gate := values.get("gate")) else None
            return cls(**values)
        except (TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"Expected whole metadata in {path}, found others ({error}); export the model again.") from error


class Exported(ABC):
    """Base class of backends of exported models: padding to multiples of the network's size, cropping, and conversion to `Outputs`.

    Subclasses define `run`.

    Args:
        metadata: of the model.
        engine: its name and version.
    """

    def __init__(self, metadata: ExportedMetadata, engine: str) -> None:
        self.metadata, self.max_pixels, self.multiple = metadata, metadata.max_pixels, metadata.multiple
        self.stated = f"{engine} on the CPU, {threads_text(num_threads())}, {precision_text(metadata.precision)}"

    def reach(self) -> int | None:
        """As measured in torch."""
        return self.metadata.reach

    def __call__(self, images: Floats) -> Outputs:
        """Compute the outputs for a batch."""
        height, width = images.shape[2:]
        multiple = self.metadata.size_multiple
        try:
            outputs = self.run(pad_to_size(images, height + -height % multiple, width + -width % multiple))
        except Exception as error:
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
        return Outputs(**outputs).crop(height, width)

    @abstractmethod
    def run(self, images: Floats) -> dict[str, Floats]:
        """Images with height and width multiples of `size_multiple` -> outputs by name."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an extra; raises `UserError` if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f'Expected the package {module} {purpose}, found it not installed; pip install "pellucid[{extra}]".') from error


def precision_text(precision: str) -> str:
    """The precision of an exported model, as text."""
    return {"int8": "int8, the first and last layers float32"}.get(precision, precision)


def threads_text(number: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number} thread{'s' if number > 1 else ''}"
