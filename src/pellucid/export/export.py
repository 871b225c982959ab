"""`pellucid export`: exports a model, verified before it is written."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.checkpoint import ModelMetadata, load_model
from pellucid.degradations import DEGRADATIONS
from pellucid.errors import UserError
from pellucid.evaluation import TRACKS, own_track
from pellucid.export.graph import core_of, write_graph
from pellucid.export.quantise import MAX_DB, MAX_POINTS, QuantisationCost, measure_cost, quantise
from pellucid.export.verify import OutputDifference, verify
from pellucid.export.web import is_page, page_engine, page_files, runtime_archive, write_page
from pellucid.files import atomic_write
from pellucid.inference.exported import METADATA, MODEL_XML, ONNX, OPENVINO_FILES, ExportedMetadata, require
from pellucid.inference.onnx_backend import KEY, OnnxBackend
from pellucid.inference.openvino_backend import OpenvinoBackend
from pellucid.inference.torch_backend import TorchBackend
from pellucid.recipe import measured_splits

if TYPE_CHECKING:
    from pellucid.data import Splits

FORMATS = {"onnx": "one file, for ONNX Runtime", "openvino": "a folder, for OpenVINO", "web": "a folder, a page that computes in browsers"}
"""Export formats."""


@dataclass(frozen=True, slots=True)
class Written:
    """An exported model; `str` is a description."""

    path: Path
    size: int
    difference: OutputDifference
    cost: QuantisationCost | None
    stated: str

    def __str__(self) -> str:
        written = f"{self.path}: {self.size / 1e6:.1f} MB, for {self.stated}."
        return "\n".join([str(self.difference), *([] if self.cost is None else [str(self.cost)]), written])


def export_model(
    source: str | Path | None,
    format: str,
    out: Path,
    int8: bool = False,
    force: bool = False,
    data: str | None = None,
    data_source: Path | None = None,
    runtime: Path | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Written:
    """Export a model, verified before it is written; raises `UserError` on any failure, and then leaves `out` unchanged.

    Args:
        source: as `load_model` takes it.
        format: a key of `FORMATS`.
        out: a file `*.onnx`, or a folder for OpenVINO or the page.
        int8: quantise the convolutions to 8 bits, calibrated on degraded training images; refused if it costs more than 0.3 points or
            0.2 dB.
        force: replace an existing target, and accept any loss of int8.
        data: name, folder or table of the images for int8; by default the data that the model was trained on.
        data_source: its files.
        runtime: for the page, npm's archive of ONNX Runtime Web or its folder, instead of fetching it by npm.
        log: called with a message at each step.
    """
    _check(format, out, force)
    _check_options(format, int8, data, data_source, runtime)
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module, "onnx", "to export")
    if format == "openvino":
        require("openvino", "openvino", "to export to OpenVINO")
    archive = runtime_archive(runtime) if format == "web" else None
    network, metadata = load_model(source, "cpu")
    core = core_of(network, str(source or "bundled"))
    reference = TorchBackend(core, "cpu", exact=True)
    splits, track = _images(metadata, data, data_source) if int8 else (None, "")
    about = ExportedMetadata(
        classes=metadata.classes,
        damages=metadata.damages,
        image_size=metadata.image_size,
        size_multiple=core.size_multiple,
        multiple=reference.multiple,
        reach=reference.reach(),
        max_pixels=reference.max_pixels,
        tasks=metadata.tasks,
        temperature=metadata.temperature,
        least_evidence=metadata.least_evidence,
        gate=metadata.gate,
        units=tuple(DEGRADATIONS[kind].unit for kind in metadata.damages),
        made=f"Pellucid {version('pellucid')}, model of commit {metadata.commit or 'not stated'}",
    )
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder, "float32.onnx")
        log("Tracing the network.")
        write_graph(core, graph)
        _write_metadata(graph, about)
        difference = verify(_opened(graph, format, about), reference)
        cost = None
        if splits is not None:
            log(f"Calibrating on training images of {splits.train.name}.")
            quantised = graph.with_name("int8.onnx")
            about = replace(about, precision="int8")
            quantise(graph, quantised, splits.train, TRACKS[track], core.size_multiple)
            graph = quantised
            _write_metadata(graph, about)
            cost = measure_cost(_opened(graph, format, about), reference, splits.measured, TRACKS[track])
            log(str(cost))
            if not (cost.acceptable or force):
                raise UserError(
                    f"Expected int8 to cost at most {MAX_POINTS} points and {MAX_DB} dB, found that {cost} Export float32, or "
                    "take it by --force."
                )
            about = replace(about, cost=asdict(cost))
            _write_metadata(graph, about)
        stated = _opened(graph, format, about).stated
        if archive is not None:
            write_page(graph, about, archive, graph.with_suffix(""))
            stated = page_engine(about)
        _write(graph if format == "onnx" else graph.with_suffix(""), out, force)
    size = sum(path.stat().st_size for path in ([out] if out.is_file() else out.rglob("*")) if path.is_file())
    return Written(out, size, difference, cost, stated)


def _check(format: str, out: Path, force: bool) -> None:
    """Check the target; a folder is replaced only if it is an exported model and nothing else."""
    if format not in FORMATS:
        raise UserError(f"Expected a format among {', '.join(FORMATS)}, found '{format}'; choose one of these.")
    if format == "onnx" and out.suffix.lower() != ONNX:
        raise UserError(f"Expected the name of a file *{ONNX} to write, found {out}; add the ending.")
    if format != "onnx" and out.suffix.lower() in (ONNX, ".xml", ".html"):
        raise UserError(f"Expected the name of a folder for {format}'s files, found {out}; leave the ending out.")
    empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not force and not (empty and format != "onnx"):
        raise UserError(f"Expected a new {'file' if format == 'onnx' else 'folder'} to write, found {out}; choose another, or --force it.")
    if format == "onnx" and out.is_dir():
        raise UserError(f"Expected a file to write, found the folder {out}; add a name.")
    if format != "onnx" and out.exists() and not empty:
        exported, written = (is_page(out), page_files()) if format == "web" else ((out / MODEL_XML).is_file(), OPENVINO_FILES)
        if not exported or any(child.name not in written for child in out.iterdir()):
            raise UserError(
                f"Expected a new folder, or one with an exported model alone to replace, found {out} with other files; choose another."
            )


def _check_options(format: str, int8: bool, data: str | None, data_source: Path | None, runtime: Path | None) -> None:
    """Raise `UserError` for options without effect."""
    if not int8 and (data is not None or data_source is not None):
        raise UserError("Expected --data and --source with --int8 only, which needs images, found them without it; leave them out.")
    if format != "web" and runtime is not None:
        raise UserError(f"Expected --runtime with format web only, found it with {format}; leave it out.")


def _images(metadata: ModelMetadata, data: str | None, source: Path | None) -> "tuple[Splits, str]":
    """The images for int8, and the name of the track of their damage, that of the training if there is one."""
    splits = measured_splits(metadata.recipe, metadata.image_size, metadata.data_digest, data, source)
    splits.test.require_classes(metadata.classes)
    return splits, own_track(metadata.recipe.get("damage"), splits.train.damaged is not None)


def _write_metadata(graph: Path, about: ExportedMetadata) -> None:
    import onnx

    model = onnx.load(graph)
    onnx.helper.set_model_props(model, {KEY: about.to_json()})
    onnx.save(model, graph)


def _opened(graph: Path, format: str, about: ExportedMetadata) -> "OnnxBackend | OpenvinoBackend":
    """Open the model as the predictor does; for OpenVINO, from a folder beside the ONNX file."""
    if format != "openvino":
        return OnnxBackend(graph)
    import openvino

    folder = graph.with_suffix("")
    folder.mkdir(exist_ok=True)
    openvino.save_model(openvino.Core().read_model(graph), folder / MODEL_XML, compress_to_fp16=False)
    (folder / METADATA).write_text(about.to_json() + "\n", encoding="utf-8")
    return OpenvinoBackend(folder)


def _write(made: Path, out: Path, force: bool) -> None:
    out = out.resolve()  # what is written aside must not lie in the folder that it replaces, as it would for the current one
    with atomic_write(out) as temporary:
        if made.is_file():
            shutil.copyfile(made, temporary)
            return
        shutil.copytree(made, temporary)
        if force and out.is_dir():
            shutil.rmtree(out)
