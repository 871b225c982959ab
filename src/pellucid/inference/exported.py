"""Exported models: what is written into them beside the network, and how it is read."""

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from pellucid.errors import UserError
from pellucid.inference.backend import Outputs
from pellucid.inference.pixels import Floats, pad
from pellucid.models.gate import Gate

FORMAT = 1
"""Version of the metadata, incremented on incompatible changes."""

ONNX, MODEL_XML, METADATA = ".onnx", "model.xml", "pellucid.json"
"""The ending of an ONNX model; the network of an OpenVINO model in its folder, and the metadata beside it."""

INPUT = "images"
"""Name of the input, (B, 3, H, W); the outputs have the names of the fields of `Outputs`."""


@dataclass(frozen=True)
class ExportedMetadata:
    """What the predictor needs of a model beside its network; in an ONNX file it is the entry `pellucid` of the metadata, as JSON.

    size_multiple: height and width of the input are multiples of it; reach, max_pixels, multiple: see `Backend`; precision: `float32` or
    `int8`; cost: what int8 cost in accuracy (points) and PSNR (dB), and on which images; tasks, temperature, gate: see `ModelMetadata`;
    input: the range of the input, the network normalises itself; made: by which version and commit, out of which model; units: of the
    strengths of the kinds of damage, for readers without Pellucid.
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
    input: str = "RGB in [0, 1], (B, 3, H, W), float32; H and W multiples of size_multiple, the last row and column repeated"
    made: str = ""
    units: tuple[str, ...] = ()
    format: int = FORMAT

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> Self:
        """Read; raises `UserError` if there is none, or of another version."""
        try:
            found = json.loads(text or "null")
            if not isinstance(found, dict) or "size_multiple" not in found:
                raise UserError(
                    f"Expected a model that Pellucid has exported, found another in {path}; write one by "
                    f"'pellucid export MODEL --out {path.name}'."
                )
            if found.get("format") != FORMAT:
                raise UserError(
                    f"Expected an exported model of format {FORMAT} in {path}, found {found.get('format')}; export it again "
                    "with this version."
                )
            known = {field.name for field in fields(cls)}
            values: dict[str, Any] = {
                name: tuple(value) if name in ("classes", "damages", "units") else value for name, value in found.items() if name in known
            }
            values["gate"] = Gate(**gate) if (gate := values.get("gate")) else None
            return cls(**values)
        except (TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"Expected whole metadata in {path}, found others ({error}); export the model again.") from error


class Exported(ABC):
    """What backends of exported models share: padding to the multiples that the network takes, cropping, and `Outputs` out of a dict.

    Subclasses set `metadata` and `stated`, and define `run`.
    """

    metadata: ExportedMetadata
    stated: str

    @property
    def max_pixels(self) -> int:
        """As of the network in torch."""
        return self.metadata.max_pixels

    @property
    def multiple(self) -> int:
        """Tiles begin at multiples of it."""
        return self.metadata.multiple

    def reach(self) -> int | None:
        """As measured in torch."""
        return self.metadata.reach

    def __call__(self, images: Floats) -> Outputs:
        """Compute the outputs for a batch."""
        height, width = images.shape[2:]
        multiple = self.metadata.size_multiple
        return Outputs(**self.run(pad(images, height + -height % multiple, width + -width % multiple))).crop(height, width)

    @abstractmethod
    def run(self, images: Floats) -> dict[str, Floats]:
        """Images of a size that the network takes -> its outputs by name."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an extra; raises `UserError` if it is not installed."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"Expected the package {module} {purpose}, found it not installed; pip install 'pellucid[{extra}]'.") from error


def in_words(precision: str) -> str:
    """The precision of an exported model, to be stated."""
    return {"int8": "int8, the last layers float32"}.get(precision, precision)


def named_threads(number: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number} thread{'s' if number > 1 else ''}"
