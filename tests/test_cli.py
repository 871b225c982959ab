"""The command line as a user meets it."""

import csv
import errno
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pellucid import data
from pellucid.cli import main, parse
from pellucid.cli.commands import COMMANDS
from pellucid.cli.flags import EXAMPLES
from pellucid.metrics import FIGURES
from pellucid.pictures import write
from pellucid.recipe import RECIPES, Recipe, changed, settings
from pellucid.run import run


@pytest.fixture(scope="module")
def trained(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, which commands only read."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    run(replace(tiny, training=replace(tiny.training, epochs=1)), folder, device="cpu")
    return folder


def call(*arguments: object) -> int:
    """The exit status of a command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def test_train_evaluate_predict(tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "recipe.json"
    config.write_text(json.dumps(settings(tiny)))
    folder, figures, out = tmp_path / "run", tmp_path / "figures.json", tmp_path / "out"
    assert call("train", "--config", config, "--out", folder, "--device", "cpu", "--data.validation", 16) == 0
    assert "reference, 16 validation images of shapes" in capsys.readouterr().out

    table = tmp_path / "figures.csv"
    assert call("evaluate", folder, "--track", "noise", "--json", figures, "--csv", table, "--limit", 20) == 0
    measured = json.loads(figures.read_text())
    assert measured.keys() >= {"track", "num_images", "accuracy", "psnr", "ssim", "ece", "input_psnr", "levels"}
    assert measured["num_images"] == 20
    assert measured.keys() >= {"command", "commit", "device", "date", "protocol_seed", "training"}
    assert measured["training"]["recipe"] == json.loads((folder / "recipe.json").read_text())
    assert list(measured["levels"]) == ["sigma=0.04", "sigma=0.06", "sigma=0.08", "sigma=0.09", "sigma=0.1"]

    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["level"] for row in rows] == [*measured["levels"], "mean"]
    assert float(rows[-1]["psnr"]) == pytest.approx(measured["psnr"])

    picture = tmp_path / "picture.png"
    write(picture, data.load("shapes").test.images[0])
    assert call("predict", picture, "--out", out, "--model", folder) == 0
    (line,) = (out / "predictions.jsonl").read_text().splitlines()
    label = json.loads(line)["label"]
    assert label in data.load("shapes").test.classes
    assert f"{picture}: {label} " in capsys.readouterr().out
    (tmp_path / "no.png").write_text("no picture")
    assert call("predict", picture, tmp_path / "no.png", "--out", tmp_path / "some", "--model", folder) == 1
    assert call("predict", tmp_path / "no.png", "--out", tmp_path / "none", "--model", folder) == 1
    assert call("predict", picture, tmp_path / "no.png", "--out", tmp_path / "some", "--model", folder) == 2
    write(tmp_path / "no.png", data.load("shapes").test.images[1])
    assert call("predict", picture, tmp_path / "no.png", "--out", tmp_path / "some", "--model", folder, "--resume") == 0


def test_a_table_keeps_all_its_digits_however_narrow_the_terminal(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert call("evaluate", trained, "--limit", 20) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert f"ECE: {FIGURES['ece'].meaning}" in printed
    assert f"mask PSNR: {FIGURES['mask_psnr'].meaning}" in printed


def test_short_flags_are_the_settings_of_the_training() -> None:
    _, values = parse(["train", "--epochs", "2.5", "--batch-size", "64", "--seed", "7", "--max-minutes", "3"])
    training = values["recipe"].training
    assert (training.epochs, training.batch_size, training.seed, training.max_minutes) == (2.5, 64, 7, 3)
    _, values = parse(["compare", "reference", "--epochs", "2", "--batch-size", "32"])
    assert (values["recipe"].training.epochs, values["recipe"].training.batch_size) == (2, 32)
    assert values["out"] is None


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["train", "--rec", "base"], "--recipe"),
        (["train", "--conf", "recipe.yaml"], "--config"),
        (["train", "--training.epoch", "3"], "--training.epochs"),
        (["evalute", "bundled"], "evaluate"),
        (["evaluate", "bundled", "--track", "nois"], "noise"),
    ],
)
def test_nothing_is_abbreviated_and_what_was_meant_is_asked(arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*arguments) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_every_command_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(shlex.split(EXAMPLES[command]))[0] == command
    assert call(command, "--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"example: pellucid {EXAMPLES[command]}" in printed
    for internal in ("typing", "Literal[", "<class"):
        assert internal not in printed


def test_a_run_is_not_overwritten_and_can_be_resumed(tiny: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "recipe.json"
    config.write_text(json.dumps(settings(tiny)))
    command = ["train", "--config", config, "--out", tmp_path / "run", "--device", "cpu"]
    assert call(*command) == 0
    assert call(*command) == 2
    assert "--resume" in capsys.readouterr().err
    assert call(*command, "--resume") == 0


WRONG = {
    "an unknown command": (["restore"], "invalid choice"),
    "an unknown recipe": (["train", "--recipe", "nope"], "quick"),
    "an unknown track": (["evaluate", "bundled", "--track", "nope"], "reference"),
    "an unknown flag": (["train", "--nope", "1"], "--nope"),
    "an unknown data set": (["data", "imagenet"], "cifar10"),
    "an unknown encoder": (["train", "--data.dataset", "shapes", "--model.encoder.name", "nope", "--out", "{new}"], "timm"),
    "an unknown suite": (["train", "--damage", "nope"], "mixed"),
    "a precision that is misspelt": (["train", "--training.precision", "fp16", "--out", "{new}"], "bf16-mixed"),
    "a precision without mixing": (["train", "--training.precision", "bf16-true", "--out", "{new}"], "bf16-mixed"),
    "a numbered cpu": (["train", "--data.dataset", "shapes", "--out", "{new}", "--device", "cpu:0"], "without a number"),
    "a gpu that is not there": (["train", "--data.dataset", "shapes", "--out", "{new}", "--device", "cuda:7"], "choose cpu"),
    "a crop of the whole image": (["train", "--data.dataset", "shapes", "--training.crop", "32", "--out", "{new}"], "32 x 32"),
    "a network for no memory": (
        ["train", "--data.dataset", "shapes", "--model.encoder.widths", "[900000,900000,900000]", "--out", "{new}"],
        "choose others, such as 48 96 192",
    ),
    "an unknown device": (["evaluate", "{run}", "--device", "abacus"], "device"),
    "an unknown device to train on": (["train", "--data.dataset", "shapes", "--out", "{new}", "--device", "abacus"], "device"),
    "a word for a number": (["train", "--training.epochs", "many"], "Expected a number. Got value: many"),
    "a number for settings": (["train", "--config", "{number}"], "settings by their names under 'training'"),
    "nothing for settings": (["train", "--config", "{nothing}"], "settings by their names under 'model'"),
    "an unknown degradation": (["train", "--config", "{nope}"], "Expected a degradation out of gaussian_noise"),
    "an impossible strength": (["train", "--config", "{strong}"], "Expected strengths of gaussian_noise"),
    "no devices": (["train", "--devices", "0", "--out", "{new}"], "devices of at least 1"),
    "a report of nothing": (["compare", "reference", "--recipe", "base", "--report-only", "--out", "{new}"], "Expected finished runs"),
    "a misspelt choice": (["train", "--training.optimizer", "sgd"], "Expected one of muon, adamw, adam. Got value: sgd"),
    "a loss out of all bounds": (["train", "--data.dataset", "shapes", "--objective.weight", "1e38", "--out", "{new}"], "diverged"),
    "two tables in one file": (["evaluate", "{run}", "--json", "{new}", "--csv", "{new}"], "a file of its own for each table"),
    "figures into a folder": (["evaluate", "{run}", "--json", "{empty}"], "add a name"),
    "a configuration that is missing": (["train", "--config", "{new}"], "new"),
    "a configuration in another encoding": (["train", "--config", "{latin}"], "Expected settings in UTF-8"),
    "a configuration of zeros": (["train", "--config", "{zeros}"], "Expected settings as YAML"),
    "a configuration that is a letter": (["train", "--config", "{letter}"], "Expected settings by their names"),
    "a configuration that is no YAML": (["train", "--config", "{broken}"], "parsing"),
    "a configuration with an unknown setting": (["train", "--config", "{unknown}"], "colour"),
    "a model that is missing": (["evaluate", "{new}"], "no such folder"),
    "a model of too long a name": (["evaluate", "m" * 300], "File name too long"),
    "a picture of too long a name": (["predict", "p" * 300, "--out", "{new}"], "found nothing there"),
    "a model folder that is empty": (["evaluate", "{empty}"], "config.json"),
    "no classes in common": (["evaluate", "bundled", "--data", "shapes"], "--data"),
    "a limit of nothing": (["evaluate", "{run}", "--data", "shapes", "--limit", "0"], "limit"),
    "an output folder in use": (["predict", "{run}/recipe.json", "--out", "{run}", "--model", "{run}"], "--force"),
    "an output folder that is a file": (["train", "--data.dataset", "shapes", "--out", "{run}/recipe.json/x"], "Not a directory"),
    "figures that can't be written": (["evaluate", "{run}", "--data", "shapes", "--json", "{run}/recipe.json/x"], "File exists"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_a_sentence_and_status_2(
    arguments: list[str], words: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").write_text("training: [")
    (tmp_path / "latin").write_bytes("# Größe".encode("latin-1"))
    (tmp_path / "zeros").write_bytes(b"t\0r\0")
    (tmp_path / "letter").write_text("Dear diary")
    (tmp_path / "unknown").write_text("colour: red")
    (tmp_path / "number").write_text("training: 3")
    (tmp_path / "nothing").write_text("model: null")
    (tmp_path / "nope").write_text("damage: {steps: [{name: nope, low: 0.1}]}")
    (tmp_path / "strong").write_text("damage: {steps: [{name: gaussian_noise, low: 7}]}")
    names = ("new", "empty", "broken", "latin", "zeros", "letter", "unknown", "number", "nothing", "nope", "strong")
    paths = {name: tmp_path / name for name in names} | {"run": trained}
    capsys.readouterr()
    assert call(*(argument.format(**paths) for argument in arguments)) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_are_read_in_unicode_as_editors_and_shells_write_it(encoding: str, tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_bytes("# 照片\nrecipe: paper\ndata:\n  dataset: fotos/müll\n".encode(encoding))
    assert parse(["train", "--config", str(config)])[1]["recipe"] == changed(RECIPES["paper"], {"data.dataset": "fotos/müll"})


@pytest.mark.parametrize("given", ["--config {} --training.epochs 3", "--training.epochs 3 --config {}", "--epochs=3 --config={} --seed 1"])
def test_flags_go_over_the_file_wherever_it_stands(given: str, tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text("recipe: base\ntraining: {epochs: 7, batch_size: 64}\n")
    for command in (["train"], ["compare", "reference"]):
        given_here = given if command == ["train"] else given.removesuffix(" --seed 1")
        training = parse([*command, *given_here.format(config).split()])[1]["recipe"].training
        assert (training.epochs, training.batch_size) == (3, 64)
    assert parse(["compare", "--tracks", "clean", "--config", str(config), "reference"])[1]["tracks"] == ["clean"]


def test_the_help_of_data_is_that_of_its_long_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--help") == 0
    assert "--data DATA" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    assert "usage: pellucid" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "kept"), [(None, "2000"), ("7", "7")])
def test_waiting_threads_of_openmp_soon_yield_their_core(given: str | None, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", given or "")
    if given is None:
        monkeypatch.delenv("GOMP_SPINCOUNT")
    assert call("--version") == 0
    assert os.environ["GOMP_SPINCOUNT"] == kept


def test_help_loads_nothing_heavy() -> None:
    script = "import sys\nfrom pellucid.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = printed.splitlines()[-1]
    assert "'pellucid.recipe'" in loaded
    for heavy in ("torch", "numpy", "lightning_fabric", "timm", "cv2", "PIL", "matplotlib"):
        assert f"'{heavy}'" not in loaded, heavy


def test_a_full_disk_is_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "log.jsonl")

    monkeypatch.setitem(COMMANDS, "train", full)
    assert call("train") == 2
    assert "Expected room on the disk, found none (log.jsonl)" in capsys.readouterr().err


MISTAKES = {
    "a model that is missing": ["evaluate", "{tmp}/missing"],
    "figures into a folder": ["evaluate", "bundled", "--json", "{tmp}"],
    "a folder that is used": ["train", "--out", "{tmp}"],
    "no model to predict with": ["predict", "{tmp}/a.png", "--out", "{tmp}/out", "--model", "{tmp}/missing"],
    "no picture": ["predict", "{tmp}/missing.png", "--out", "{tmp}/out"],
    "no model to export": ["export", "{tmp}/missing", "--format", "onnx", "--out", "{tmp}/a.onnx"],
    "no model to measure": ["bench", "{tmp}"],
    "no exported model to measure": ["bench", "{tmp}/missing.onnx"],
    "no model to serve": ["app", "{tmp}/missing"],
    "a folder that is no model to serve": ["app", "{tmp}", "--no-page"],
    "no exported model to serve": ["app", "{tmp}/missing.onnx"],
    "a used folder for the demo": ["demo", "--out", "{tmp}"],
    "a used folder to compare in": ["compare", "reference", "--recipe", "base", "--out", "{tmp}"],
    "an unknown arm": ["compare", "reference", "--recipe", "base", "--arms", "both"],
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_found_before_torch_is_imported(arguments: list[str], tmp_path: Path) -> None:
    write(tmp_path / "a.png", data.load("shapes").test.images[0])
    script = (
        "import sys\nfrom pellucid.cli import main\ntry: main(sys.argv[1:])\n"
        "except SystemExit as stopped: print(stopped.code, sys.modules.keys() & {'torch', 'onnx', 'onnxruntime', 'gradio'})"
    )
    command = [sys.executable, "-c", script, *(argument.format(tmp=tmp_path) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "2 set()", done.stderr
    assert "Expected" in done.stderr


def test_names_need_not_be_utf_8(tmp_path: Path) -> None:
    picture = tmp_path / "bad\udcff.png"
    write(picture, data.load("shapes").test.images[0])
    script = (
        "import sys\nfrom pellucid.cli import main\n"
        "for source, out in zip(sys.argv[1::2], sys.argv[2::2]): main(['predict', source, '--out', out])"
    )
    command = [sys.executable, "-c", script, str(picture), str(tmp_path / "one"), str(tmp_path), str(tmp_path / "two")]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(f"{tmp_path}/bad\\udcff.png: ") == 2
