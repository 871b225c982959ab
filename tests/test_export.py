"""Exported models: verified before they are written, predicted without torch, with the result of torch."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import pellucid
from pellucid.bench import run_benchmark
from pellucid.bench_worker import Worker
from pellucid.checkpoint import ModelMetadata, save_model
from pellucid.cli import main
from pellucid.data import DATASETS
from pellucid.errors import UserError
from pellucid.export import export_model, quantise, verify
from pellucid.export.export import _write
from pellucid.inference import Outputs, Predictor, exported
from pellucid.inference.exported import ExportedMetadata
from pellucid.inference.onnx_backend import SPLIT, OnnxBackend
from pellucid.inference.openvino_backend import OpenvinoBackend
from pellucid.inference.source import open_backend
from pellucid.inference.torch_backend import TorchBackend
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.pictures import write
from pellucid.recipe import RECIPES, settings

CONFIG = ModelConfig(encoder=EncoderConfig(patch=2, widths=(8, 16, 24), depths=(1, 1, 1)), damage_head=True)
DAMAGES = ("gaussian_noise", "occlusion")
FORMATS = ("onnx", "openvino")


def saved(folder: Path, config: ModelConfig = CONFIG) -> Path:
    """A model with weights like those of a trained one: at its start a residual block does nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model(config, 4, DAMAGES).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.3)
    recipe = settings(RECIPES["quick"]) | {"damage": "reference"}
    recipe["data"] |= {"dataset": "shapes", "validation": 0}
    classes = DATASETS["shapes"](None).train.classes
    least = None if config.tasks == "restore" else 2.0
    save_model(folder, network, ModelMetadata(config, classes, DAMAGES if config.damage_head else (), recipe, least_evidence=least))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model in both formats."""
    folder = tmp_path_factory.mktemp("exported")

    def connect(_: socket.socket, address: object) -> None:
        pytest.fail(f"a connection to {address}: an export needs no network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket, "getaddrinfo", lambda *names, **_: pytest.fail(f"a look-up of {names}"))
        onnx = export_model(model, "onnx", folder / "m.onnx").path
        patch.setattr("pellucid.export.export.write_graph", lambda _, path: shutil.copyfile(onnx, path))
        return {"onnx": onnx, "openvino": export_model(model, "openvino", folder / "m").path}


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def traced(made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of the model take the graph that is there: tracing takes seconds."""
    monkeypatch.setattr("pellucid.export.export.write_graph", lambda _, path: shutil.copyfile(made["onnx"], path))


def picture(height: int, width: int, dtype: type = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(height).integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


def pictures() -> Iterator[NDArray[Any]]:
    yield from (picture(*shape) for shape in ((32, 32), (33, 47), (1, 5), (64, 8), (32, 32), (90, 131)))
    yield picture(33, 20, np.uint16)
    yield picture(20, 30)[..., :1].repeat(3, axis=2)  # grey


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_predictions_are_those_of_torch(format: str, mirror: bool, model: Path, made: dict[str, Path]) -> None:
    images = list(pictures())
    ours, theirs = (pellucid.load(source, "cpu", mirror=mirror) for source in (made[format], model))
    assert isinstance(ours, Predictor)
    assert "float32" in ours.stated
    assert "1 thread" in ours.stated
    for each in (ours, theirs):
        each.max_pixels = 10_000  # the largest goes through in tiles
    assert ours.tiling == theirs.tiling
    for image, one, other in zip(images, ours.predict(images), theirs.predict(images), strict=True):
        assert one.restored is not None
        assert other.restored is not None
        assert one.restored.dtype == image.dtype
        assert one.restored.shape == image.shape
        step = 1 if image.dtype == np.uint8 else 16
        assert np.abs(one.restored.astype(int) - other.restored.astype(int)).max() <= step
        assert one.label == other.label
        assert one.unfamiliar is not None
        assert one.unfamiliar == other.unfamiliar
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
        assert one.damage is not None
        assert other.damage is not None
        assert {kind: each["unit"] for kind, each in one.damage.items()} == {kind: each["unit"] for kind, each in other.damage.items()}
        assert one.mask is not None
        assert one.mask.shape == image.shape[:2]
    assert (ours.predict(images[-1])[0].restored == ours.predict(images[-1])[0].restored[..., :1]).all()  # type: ignore[index]


@pytest.mark.parametrize("tasks", ["classify", "restore"])
def test_a_model_of_one_task_is_exported_with_its_head_alone(tasks: Any, tmp_path: Path) -> None:
    config = ModelConfig(tasks=tasks, encoder=EncoderConfig(widths=(8, 16), depths=(1, 1)))
    export_model(saved(tmp_path / "model", config), "onnx", tmp_path / "m.onnx")
    (prediction,) = pellucid.load(tmp_path / "m.onnx").predict(picture(19, 21))
    assert (prediction.label is None, prediction.restored is None) == (tasks == "restore", tasks == "classify")


def test_nothing_is_written_that_differs_from_torch(model: Path, traced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OnnxBackend.run
    monkeypatch.setattr(OnnxBackend, "run", lambda self, images: run(self, images) | {"logits": run(self, images)["logits"] + 0.1})
    with pytest.raises(UserError, match=r"within 0.001 of torch, found logits"):
        export_model(model, "onnx", tmp_path / "m.onnx")
    assert not any(tmp_path.iterdir())


def test_an_output_that_is_missing_or_not_finite_is_a_difference() -> None:
    def backend(value: float | None) -> Any:
        return lambda images: Outputs(logits=None if value is None else np.full((len(images), 2), value, np.float32))

    verify.verify(backend(1.0), backend(1.0))
    for bad in (None, np.nan):
        with pytest.raises(UserError, match="logits"):
            verify.verify(backend(bad), backend(1.0))


def test_int8_is_refused_where_it_costs_too_much_unless_forced(
    model: Path, traced: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise, "NUM_MEASURED", 64)
    monkeypatch.setattr(quantise, "NUM_CALIBRATION", 32)
    monkeypatch.setattr(quantise, "MAX_DB", -1.0)
    with pytest.raises(UserError, match=r"int8 costs .* points of accuracy and .* dB, on 64 test images of shapes"):
        export_model(model, "openvino", tmp_path / "m", int8=True)
    assert not (tmp_path / "m").exists()
    out = tmp_path / "m.onnx"
    written = export_model(model, "onnx", out, int8=True, force=True)
    assert "int8" in written.stated
    assert "Largest difference from torch" in str(written)
    assert str(written.cost) in str(written)
    assert "int8" in pellucid.load(out).stated
    assert_no_sum_of_two_products_exceeds_16_bits(out)
    assert written.cost is not None
    assert written.cost.psnr is not None
    assert written.cost.psnr < 1
    backend, about = open_backend(out)
    assert isinstance(about, ExportedMetadata)
    assert about.cost == asdict(written.cost)
    reference, _ = open_backend(model, "cpu")
    images = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    differences = np.abs(backend(images).restored - reference(images).restored)  # type: ignore[operator]
    assert 1e-5 < differences.max() < 0.2  # it is quantised


def assert_no_sum_of_two_products_exceeds_16_bits(path: Path) -> None:
    """On x86 without VNNI, such sums of a uint8 activation times an int8 weight saturate."""
    import onnx

    weights = [onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer if each.data_type == onnx.TensorProto.INT8]
    weights = [each for each in weights if each.ndim == 4]
    assert weights
    for each in weights:
        assert 2 * 255 * np.abs(each.astype(int)).max() <= np.iinfo(np.int16).max


def test_the_first_convolutions_stay_float32(made: dict[str, Path]) -> None:
    import onnx

    graph = onnx.load(made["onnx"])
    first = quantise._first(graph)
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    assert convolutions[0] in first
    assert len(first) == 2  # of the encoder, and of the image's details
    assert first <= set(quantise._kept(graph))


def test_the_last_convolutions_before_the_image_stay_float32(made: dict[str, Path]) -> None:
    import onnx

    graph = onnx.load(made["onnx"])
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    one, last, more = (quantise._last(graph, number) for number in (1, quantise.FLOAT32_LAYERS, quantise.FLOAT32_LAYERS + 1))
    assert len(one) == 1  # the residual
    assert one < last < more < set(convolutions)
    kept = set(quantise._kept(graph))
    assert last <= kept < set(convolutions)
    assert more - kept


def test_costs() -> None:
    assert quantise.QuantisationCost(0.3, 0.2, "").acceptable
    assert not quantise.QuantisationCost(0.31, 0.0, "").acceptable
    assert not quantise.QuantisationCost(None, 0.21, "").acceptable
    assert str(quantise.QuantisationCost(None, 0.1, "5 images")) == "int8 costs 0.10 dB, on 5 images."
    assert str(quantise.QuantisationCost(0.1, None, "5 images")) == "int8 costs 0.10 points of accuracy, on 5 images."


def test_the_metadata_are_in_the_file(model: Path, made: dict[str, Path]) -> None:
    for path in made.values():
        _, about = open_backend(path)
        assert isinstance(about, ExportedMetadata)
        torch_backend, metadata = open_backend(model, "cpu")
        assert (about.classes, about.damages, about.image_size) == (metadata.classes, metadata.damages, metadata.image_size)
        assert about.least_evidence == metadata.least_evidence == 2.0
        assert isinstance(torch_backend, TorchBackend)
        assert (about.multiple, about.reach, about.max_pixels) == (
            torch_backend.multiple, torch_backend.reach(), torch_backend.max_pixels,
        )  # fmt: skip


WITHOUT_TORCH = """
import sys

HIDDEN = {"torch", "torchvision", "timm", "lightning_fabric", "tensorboard", "safetensors",
          "matplotlib", "scipy", "huggingface_hub", "jinja2", "onnx", "onnxscript"}

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hiding, sys.meta_path)
from pellucid.cli import main

main(sys.argv[1:])
"""


def without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)], capture_output=True, text=True)


def test_an_exported_model_runs_without_torch(made: dict[str, Path], tmp_path: Path) -> None:
    write(tmp_path / "x.png", picture(33, 47))
    done = without_torch("predict", tmp_path / "x.png", "--model", made["onnx"], "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Computed by ONNX Runtime" in done.stdout
    assert (tmp_path / "out" / "restored" / "x.png").is_file()
    failed = without_torch("predict", tmp_path / "x.png", "--out", tmp_path / "other")
    assert failed.returncode == 2
    assert "Expected torch for the model bundled" in failed.stderr
    assert "Traceback" not in failed.stderr
    measured = without_torch("evaluate", "bundled")
    assert measured.returncode == 2
    assert "Expected the package torch for 'pellucid evaluate', found it not installed" in measured.stderr.splitlines()[-1]
    assert "Traceback" not in measured.stderr


def mistake(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error message of the command line."""
    with pytest.raises(SystemExit) as exit:
        main([str(each) for each in arguments])
    assert exit.value.code == 2
    return capsys.readouterr().err


def test_mistakes_are_one_sentence(model: Path, made: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.onnx"
    assert "no such folder" in mistake(capsys, "export", tmp_path / "none", "--format", "onnx", "--out", out)
    assert "did you mean onnx?" in mistake(capsys, "export", model, "--format", "onx", "--out", out)
    assert "add the ending" in mistake(capsys, "export", model, "--format", "onnx", "--out", tmp_path / "m")
    assert "leave the ending out" in mistake(capsys, "export", model, "--format", "openvino", "--out", out)
    out.write_bytes(b"before")
    assert "--force" in mistake(capsys, "export", model, "--format", "onnx", "--out", out)
    assert out.read_bytes() == b"before"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "with other files" in mistake(capsys, "export", model, "--format", "openvino", "--out", tmp_path / "full", "--force")
    shutil.copytree(made["openvino"], tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").touch()
    assert "with other files" in mistake(capsys, "export", model, "--format", "openvino", "--out", tmp_path / "mine", "--force")
    assert "architecture 'joint'" in mistake(
        capsys, "export", saved(tmp_path / "paper", ModelConfig("paper-listing", encoder=CONFIG.encoder)), "--format", "onnx",
        "--out", tmp_path / "p.onnx",
    )  # fmt: skip


def test_models_that_are_none_are_one_sentence(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    with pytest.raises(UserError, match=r"found no file .*none\.onnx"):
        pellucid.load(tmp_path / "none.onnx")
    (tmp_path / "cut.onnx").write_bytes(made["onnx"].read_bytes()[:5000])
    with pytest.raises(UserError, match=r"whole ONNX model in .*cut\.onnx"):
        pellucid.load(tmp_path / "cut.onnx")
    foreign = onnx.load(made["onnx"])
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(UserError, match="a model that Pellucid has exported, found another"):
        pellucid.load(tmp_path / "foreign.onnx")
    onnx.helper.set_model_props(foreign, {"pellucid": '{"size_multiple": 4, "format": 99}'})
    onnx.save(foreign, tmp_path / "later.onnx")
    with pytest.raises(UserError, match=r"format 1 .* found 99"):
        pellucid.load(tmp_path / "later.onnx")
    with pytest.raises(UserError, match="exported models run on the CPU"):
        pellucid.load(made["onnx"], "cuda")
    (tmp_path / "ov").mkdir()
    (tmp_path / "ov" / "model.xml").write_text("<net/>")
    with pytest.raises(UserError, match="that Pellucid has exported"):
        pellucid.load(tmp_path / "ov")
    (tmp_path / "ov" / "pellucid.json").write_text((made["openvino"] / "pellucid.json").read_text())
    with pytest.raises(UserError, match="whole OpenVINO model"):
        pellucid.load(tmp_path / "ov")


def test_an_extra_that_is_missing_is_named(made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    for format, path in made.items():
        with pytest.raises(UserError, match=rf'pip install "pellucid\[{format}\]"'):
            pellucid.load(path)
    with pytest.raises(UserError, match=r'pip install "pellucid\[onnx\]"'):
        export_model("bundled", "onnx", Path("never.onnx"))


def test_a_large_batch_is_split_among_the_threads(made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = OnnxBackend(made["onnx"])
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    split = OnnxBackend(made["onnx"])
    parts: list[int] = []

    class Counted:
        session = split._part_session

        def run(self, names: list[str], inputs: dict[str, NDArray[Any]]) -> Any:
            parts.extend(len(images) for images in inputs.values())
            return self.session.run(names, inputs)

    monkeypatch.setattr(split, "_part_session", Counted())
    for number, expected in ((2 * SPLIT - 1, []), (2 * SPLIT + 1, [SPLIT, SPLIT + 1])):
        images = np.random.default_rng(number).random((number, 3, 33, 20), np.float32)
        for one, other in zip(split(images), whole(images), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        assert sorted(parts) == expected


def test_lack_of_memory_is_a_memory_error(made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxBackend(made["onnx"])

    class Hungry:
        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 1")

    monkeypatch.setattr(backend, "_session", Hungry())
    with pytest.raises(MemoryError):
        backend(np.zeros((1, 3, 8, 8), np.float32))


def test_openvino_computes_in_float32(made: dict[str, Path]) -> None:
    """It takes bfloat16 by itself where the processor has it."""
    backend, _ = open_backend(made["openvino"])
    compiled = backend._request.get_compiled_model()  # type: ignore[attr-defined]
    assert "32" in str(compiled.get_property("INFERENCE_PRECISION_HINT"))


def test_bench_gives_ratios_in_one_run(model: Path, made: dict[str, Path], tmp_path: Path) -> None:
    results = run_benchmark(str(model), ["onnx", "torch"], [1, 2], [16], 0.05, paths={"onnx": made["onnx"]})
    assert results.first == "torch"
    names = list(results.stated)
    assert {"torch", "onnx"} <= set(names)
    assert len(results.figures) == 2 * len(names)
    assert [results.ratio(each) for each in results.figures if each.name == "torch"] == [1.0, 1.0]
    assert all(each.rate > 0 for each in results.figures)
    assert results.loaded["onnx"] < results.loaded["torch"] + 100e6
    assert [results.memory_ratio(each) for each in results.figures if each.name == "torch"] == [1.0, 1.0]
    for each in results.figures:
        assert results.memory_ratio(each) == pytest.approx(results.total_memory(each) / results.total_memory(results.figures[0]), rel=0.2)
    rows = results.to_json(["bench"])["figures"]
    assert all(row.keys() >= {"engine", "size", "batch_size", "images_per_second", "ratio", "memory", "memory_ratio"} for row in rows)
    assert [str(column.header) for column in results.table().columns] == [
        "size", "batch", "engine", "images/s", "x torch", "memory", "x torch",
    ]  # fmt: skip
    assert "float32" in results.notes
    assert len(results.to_json(["bench"])["figures"]) == len(results.figures)


def test_bench_refuses_what_it_cannot_measure(made: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="batch sizes of at least 1, found 0"):
        run_benchmark("bundled", ["torch"], [0])
    with pytest.raises(UserError, match="no formats for an exported model"):
        run_benchmark(str(made["onnx"]), ["torch"])
    with pytest.raises(UserError, match="larger ones only"):
        run_benchmark("bundled", ["torch"], [64], [4096])


def test_bench_finds_the_file_for_its_figures_unwritable_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", str(tmp_path / "no model"), "--json", str(tmp_path)])
    assert "found the folder" in capsys.readouterr().err


def test_ctrl_c_ends_bench_in_one_sentence(made: dict[str, Path]) -> None:
    command = "import signal; from pellucid.cli import main; signal.signal(signal.SIGINT, signal.default_int_handler); main()"
    arguments = ["bench", str(made["onnx"]), "--seconds", "100"]
    with subprocess.Popen(
        [sys.executable, "-c", command, *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline().startswith("Measuring")
        os.killpg(running.pid, signal.SIGINT)
        assert running.stderr.read() == "pellucid: stopped.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_ctrl_c_is_blocked_in_the_first_process_of_bench(made: dict[str, Path]) -> None:
    command = (
        "import signal, sys; from pathlib import Path; from pellucid.bench_worker import Worker; worker = Worker('onnx', sys.argv[1]); "
        "print(Path(f'/proc/{worker._process.pid}/status').read_text()); worker.stop()"
    )
    status = subprocess.run([sys.executable, "-c", command, str(made["onnx"])], capture_output=True, text=True, check=True).stdout
    blocked = int(re.search(r"^SigBlk:\s*(\w+)", status, re.MULTILINE)[1], 16)  # type: ignore[index]
    assert blocked & 1 << signal.SIGINT - 1


def test_the_number_of_threads_as_text() -> None:
    assert [exported.threads_text(number) for number in (1, 2)] == ["1 thread", "2 threads"]


@pytest.mark.parametrize(
    ("format", "options", "words"),
    [
        ("onnx", {"data": "shapes"}, "--data and --source with --int8 only"),
        ("openvino", {"data_source": Path("somewhere")}, "--data and --source with --int8 only"),
        ("onnx", {"runtime": Path("runtime.tgz")}, "--runtime with format web only, found it with onnx"),
    ],
)
def test_options_without_effect_are_refused(tmp_path: Path, format: str, options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        export_model("bundled", format, tmp_path / ("model.onnx" if format == "onnx" else "model"), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", [".", "../link"])
def test_the_current_folder_and_a_linked_one_are_replaced(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, out = tmp_path / "made", tmp_path / "out"
    for folder, text in ((made, "new"), (out, "old")):
        folder.mkdir()
        (folder / "model.xml").write_text(text)
    (tmp_path / "link").symlink_to(out)
    monkeypatch.chdir(out)
    _write(made, Path(target), force=True)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("model.xml", "new")]


def test_another_network_beside_the_exported_one_is_not_taken_for_it(made: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(made["openvino"], tmp_path / "exported")
    (tmp_path / "exported" / "other.xml").write_text("<net/>")
    with pytest.raises(UserError, match=r"Expected model\.xml of an exported model, or its folder, found .*other\.xml"):
        open_backend(tmp_path / "exported" / "other.xml")


def test_a_process_of_bench_that_was_killed_is_a_sentence(made: dict[str, Path]) -> None:
    worker = Worker("onnx", made["onnx"])
    worker.stop()
    for _ in range(2):
        with pytest.raises(UserError, match="found that a process was ended"):
            worker.call("load")


def test_an_exported_folder_may_have_a_dot_in_its_name(made: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(made["openvino"], tmp_path / "base-1.0")
    for source in (tmp_path / "base-1.0", tmp_path / "base-1.0" / "model.xml"):
        assert isinstance(open_backend(source)[0], OpenvinoBackend)
