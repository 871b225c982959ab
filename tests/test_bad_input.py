"""Bad input of the formats of pictures of one's own: one sentence each, or a line of error, and nothing half written."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch

from pellucid import pictures
from pellucid.cli import main
from pellucid.data import load_own
from pellucid.data.entries import list_entries
from pellucid.errors import UserError
from pellucid.inference import Predictor, predict_files
from pellucid.models import EncoderConfig
from pellucid.models.encoder import Encoder


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures.write(path, np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8))
    return path


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"path,label\nx.png,red,green\n", "as many cells as columns in line 2 .* quotes around cells with commas"),
        ("a.csv", b"path,label\nx.png,caf\xe9\n", "can't be read .*write it as UTF-8"),
        ("a.csv", b"x.png,red\ny.png,green\n", "a path in line 2 .*; its columns are path, label, split, damaged"),
        ("a.csv", b"path,label\n", "Expected pictures .* found none"),
        ("a.jsonl", b"[1, 2]\n", "can't be read .line 1 is no object such as"),
        ("a.jsonl", b'{"path": "x.png", "label": ["red"]}\n', "Expected text as 'label' in line 1 .*, found .'red'"),
        ("a.jsonl", b'{"path": null}\n', "a path in line 1"),
    ],
)
def test_tables(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        list_entries(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("path,label\nnone.png,a\n0.png,b\n", "pictures at all paths, found 1 missing, such as .*none.png"),
        ('path,label\n"0.png,a\n' + 60 * "1.png,b\n", "pictures at all paths, found 1 missing, such as .*0.png"),
        ("path,label\nfolder,a\n0.png,b\n", "pictures at all paths, found 1 missing, such as .*folder"),
        ("path,damaged\n0.png,1.png\n1.png,\n", "a damaged version of every picture or of none, found some with and some without"),
        ("path,split\n0.png,test\n1.png,test\n", "to train on and others to measure on .*, found 2 in all"),
    ],
)
def test_pictures_of_tables(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    for number in range(2):
        picture(tmp_path / f"{number}.png", number)
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError, match=words):
        load_own(tmp_path / "a.csv", 8)


def test_a_pair_with_an_unreadable_half_is_left_out_as_a_whole(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / "clean" / f"{number}.png", number)
        picture(tmp_path / "damaged" / f"{number}.png", number + 9)
    (tmp_path / "damaged" / "0.png").write_text("no picture")
    (tmp_path / "clean" / "1.png").write_bytes((tmp_path / "clean" / "1.png").read_bytes()[:200])
    splits = load_own(tmp_path, 8)
    assert len(splits.train) + len(splits.test) == 3
    assert sorted(Path(reason.split(" in ")[1].split(",")[0]).parent.name for reason in splits.skipped) == ["clean", "damaged"]


def test_a_folder_of_nothing_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        path = tmp_path / "data" / "a" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no picture")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert stopped.value.code == 2
    assert "Expected pictures to train on" in capsys.readouterr().err
    assert not (tmp_path / "run" / "model").exists()


def test_a_classifier_needs_classes_and_held_out_images_need_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        picture(tmp_path / "data" / f"{number}.png", number)
    call = ["train", "--data", str(tmp_path / "data"), "--data.size", "16", "--device", "cpu"]
    for more, words in (
        (["--recipe", "quick"], "two classes at least"),
        (["--recipe", "everyday"], "more training images than data.valid"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main([*call, *more, "--out", str(tmp_path / more[1])])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    weights = timm.create_model("test_resnet").state_dict()
    weights["layer1.0.conv1.weight"][0] = torch.nan
    torch.save(weights, tmp_path / "nan.pt")
    with pytest.raises(UserError, match=r"finite weights in .*, found others in 1 tensors, such as layer1\.0\.conv1\.weight"):
        Encoder(EncoderConfig("test_resnet", weights=str(tmp_path / "nan.pt")))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100)])
def test_weights_that_are_no_file_of_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(UserError, match="found a file that can't be read"):
        Encoder(EncoderConfig("test_resnet", weights=str(tmp_path / "w.pt")))
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(UserError, match="found a file that can't be read"):
        Encoder(EncoderConfig("test_resnet", weights=str(tmp_path / "folder.pt")))


class Failing:
    """A backend that fails from the second call on."""

    stated, max_pixels, multiple = "nothing", 10**6, 1

    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    def __call__(self, images: Any) -> Any:
        from pellucid.inference.backend import Outputs

        self.calls += 1
        if self.calls > 1:
            raise self.error
        return Outputs(restored=images)

    def reach(self) -> int:
        return 0


def test_a_video_for_which_the_memory_is_too_small_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Failing(MemoryError()), (), batch_size=2))
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"FFV1"), 10, (32, 32))
    for _ in range(5):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    summary = predict_files([tmp_path / "a.avi"], tmp_path / "out", device="cpu", uncertainty=True)
    assert (summary.num_pictures, summary.num_failed) == (1, 1)
    *_, last = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert last["error"]["code"] == "out_of_memory"
    assert not [path for part in ("restored", "uncertainty") for path in (tmp_path / "out" / part).glob("*")]


def test_a_video_that_cannot_be_written_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Failing(MemoryError()), (), batch_size=9))
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"FFV1"), 10, (32, 32))
    for _ in range(3):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "restored").write_text("a file in its place")
    summary = predict_files([tmp_path / "a.avi"], tmp_path / "out", device="cpu", force=True)
    assert summary.num_failed == 1
    last = json.loads((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()[-1])
    assert last["error"]["code"] in ("unwritable", "unreadable")
