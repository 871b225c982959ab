"""Saved models: their metadata is complete, they load as they were, and damaged ones are refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pellucid.checkpoint import CONFIG, README, WEIGHTS, ModelMetadata, load_model, model_card, save_model
from pellucid.errors import UserError
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.provenance import source_commit

METADATA = ModelMetadata(
    model=ModelConfig(encoder=EncoderConfig(patch=2, widths=(8, 16), depths=(1, 1))),
    classes=("cat", "dog", "<b>&"),
    recipe={"training": {"epochs": 3}},
    training_data="100 images of pets",
    trained="2026-11-01, 10 steps",
    commit="0123456789",
    figures={"clean": {"track": "clean", "num_images": 10, "accuracy": 50.0, "psnr": None, "ssim": 0.5, "ece": 0.1, "input_psnr": 100.0}},
)


@pytest.fixture
def network() -> torch.nn.Module:
    return build_model(METADATA.model, 3).eval()


@pytest.fixture
def saved(network: torch.nn.Module, tmp_path: Path) -> Path:
    save_model(tmp_path / "model", network, METADATA)
    return tmp_path / "model"


def test_a_model_loads_as_it_was(network: torch.nn.Module, saved: Path) -> None:
    loaded, metadata = load_model(saved, "cpu")
    assert metadata == METADATA
    assert not loaded.training
    images = torch.rand(2, 3, 20, 20)
    ours, theirs = network.to(memory_format=torch.channels_last)(images), loaded(images)  # sums have another order in the other format
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.restored, theirs.restored)


def test_half_precision_takes_half_the_space_and_loads_as_float32(network: torch.nn.Module, saved: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "half", network, METADATA, torch.float16)
    assert (tmp_path / "half" / WEIGHTS).stat().st_size < 0.6 * (saved / WEIGHTS).stat().st_size
    loaded, _ = load_model(tmp_path / "half", "cpu")
    assert all(tensor.dtype != torch.float16 for tensor in loaded.state_dict().values())
    images = torch.rand(2, 3, 20, 20)
    torch.testing.assert_close(loaded(images).restored, network(images).restored, atol=5e-3, rtol=0)


def test_a_model_can_be_saved_and_loaded_where_texts_are_not_in_utf_8(saved: Path, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from pellucid.checkpoint import load_model, save_model; "
    code += "save_model(Path(sys.argv[2]), *load_model(sys.argv[1], 'cpu'))"
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps(config | {"classes": ["Käfer", "—", "鸟"]}, ensure_ascii=False), encoding="utf-8")
    command = [sys.executable, "-c", code, str(saved), str(tmp_path / "other")]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run(command, env=os.environ | ascii_only, check=True)
    assert "Käfer, —, 鸟" in (tmp_path / "other" / README).read_text(encoding="utf-8")


def test_the_card_says_what_it_is(saved: Path) -> None:
    card = (saved / README).read_text()
    for words in ("license: apache-2.0", "cat, dog", "100 images of pets", "0123456789", "2026-11-01", "| `clean` | 10 | 50.00 |"):
        assert words in card


def test_nothing_is_overwritten(network: torch.nn.Module, saved: Path) -> None:
    before = (saved / CONFIG).read_bytes()
    with pytest.raises(UserError):
        save_model(saved, network, METADATA)
    assert (saved / CONFIG).read_bytes() == before


def test_a_run_s_folder_will_do(saved: Path) -> None:
    assert load_model(saved.parent, "cpu")[1] == METADATA


def change(folder: Path, **settings) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **settings}))


SPOILT = {
    "another version": (lambda folder: change(folder, format=99), "format 1 .* found 99"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
    "no configuration": (lambda folder: (folder / CONFIG).unlink(), CONFIG),
    "half the weights": (lambda folder: os.truncate(folder / WEIGHTS, 1000), "can't be read"),
    "no JSON": (lambda folder: (folder / CONFIG).write_text("{"), "can't be read"),
    "weights of another network": (
        lambda folder: change(folder, model={"encoder": {"widths": [8, 24], "depths": [1, 1]}}),
        "size mismatch",
    ),
    "an unknown setting": (lambda folder: change(folder, model={"colour": "red"}), "colour"),
    "an unknown encoder": (lambda folder: change(folder, model={"encoder": {"name": "nope"}}), "timm"),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILT.values(), ids=SPOILT)
def test_what_is_no_whole_model_is_a_sentence(saved: Path, spoil, words: str) -> None:
    spoil(saved)
    with pytest.raises(UserError, match=words):
        load_model(saved, "cpu")


def test_a_name_of_the_hub_without_a_network_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="hub"):
        load_model("pellucid-tests/no-such-model", "cpu")


def test_the_commit_is_one_of_this_source() -> None:
    assert source_commit().startswith("version") or len(source_commit().rstrip("+")) == 10


def test_the_commit_is_not_that_of_a_repository_around_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / ".venv" / "provenance.py"
    installed.parent.mkdir()
    installed.touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a project"], check=True)
    monkeypatch.setattr("pellucid.provenance.__file__", str(installed))
    assert source_commit().startswith("version")
    subprocess.run([*git, "add", str(installed)], check=True)
    assert source_commit().endswith("+")


def test_the_card_marks_figures_with_outputs_that_are_not_finite() -> None:
    figures = {"clean": {**METADATA.figures["clean"], "broken": 3}, "noise": METADATA.figures["clean"]}
    card = model_card(replace(METADATA, figures=figures))
    assert "| `clean` | 10 | 50.00* |" in card
    assert "| `noise` | 10 | 50.00 |" in card
    assert "*: some outputs are not finite" in card
    assert "not finite" not in model_card(METADATA)
