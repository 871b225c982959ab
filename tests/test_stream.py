"""A folder of any size: in order, in bounded memory, resumed, and shared by several processes."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np
import pytest
from PIL import Image

from pellucid import files
from pellucid.ahead import read_ahead
from pellucid.checkpoint import ModelMetadata, save_model
from pellucid.cli import main
from pellucid.errors import UserError
from pellucid.inference import Prediction, Predictor, journal, predict_files
from pellucid.inference.stream import SMALL_FILE, Failure, Predicted, stream
from pellucid.models import EncoderConfig, ModelConfig, build_model

CONFIG = ModelConfig(encoder=EncoderConfig(widths=(8, 16), depths=(1, 1)))
CLASSES = ("cat", "dog", "ship")


def test_what_is_read_ahead_keeps_its_order() -> None:
    def read(item: int, reserve: Callable[[int], None]) -> int:
        reserve(1)
        time.sleep(0.002 * (7 * item % 5))
        return item

    assert list(read_ahead(range(50), read, 4, 10, 1000)) == list(range(50))


def test_what_is_read_ahead_is_bounded() -> None:
    lock, held, most = threading.Lock(), 0, 0

    def read(item: int, reserve: Callable[[int], None]) -> int:
        nonlocal held, most
        reserve(10)
        with lock:
            held += 10
            most = max(most, held)
        return item

    for item in read_ahead(range(100), read, 4, 20, 35):
        time.sleep(0.001)
        with lock:
            held -= 10
        assert item >= 0
    assert most <= 50  # three, one in use, and one that has become due meanwhile


@pytest.mark.parametrize("max_items", [1, 2, 8])
def test_a_picture_that_is_larger_than_all_room_is_read_when_it_is_due(max_items: int) -> None:
    def read(item: int, reserve: Callable[[int], None]) -> int:
        reserve(item)
        return item

    assert list(read_ahead([5, 500, 5, 900, 900, 5], read, 3, max_items, 10)) == [5, 500, 5, 900, 900, 5]


def test_reading_ahead_can_be_left_early() -> None:
    def read(item: int, reserve: Callable[[int], None]) -> int:
        reserve(8)
        return item

    reading = read_ahead(range(1000), read, 3, 20, 10)
    assert next(reading) == 0
    before = time.perf_counter()
    reading.close()
    assert time.perf_counter() - before < 1


def test_items_are_taken_as_they_are_needed() -> None:
    items = iter(range(10_000))
    reading = read_ahead(items, lambda item, _: item, 2, 16, 10)
    for _ in range(5):
        next(reading)
    assert next(items) <= 5 + 16
    reading.close()


def test_a_picture_for_which_the_memory_is_too_small_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    [failure] = stream([(tmp_path / "a.png", PurePosixPath("a.png"))], Predictor.load(device="cpu"), lambda each: each)
    assert isinstance(failure, Failure)
    assert failure.code == "out_of_memory"
    assert "scale it down" in str(failure.error)


class Attempt:
    """Stands for the maps of a forward pass."""


def test_a_second_attempt_has_the_memory_of_the_first_one(tmp_path: Path) -> None:
    attempts: list[weakref.ref[Attempt]] = []

    class Full:
        batch_size, max_pixels = 4, 1_000_000

        def predict(self, pictures: list[object]) -> list[Prediction]:
            assert not [each for each in attempts if each() is not None]
            maps = Attempt()
            attempts.append(weakref.ref(maps))
            raise MemoryError

    for name in "ab":
        Image.new("RGB", (400, 300)).save(tmp_path / f"{name}.bmp")
    inputs = [(path, PurePosixPath(path.name)) for path in sorted(tmp_path.iterdir())]
    failures = list(stream(inputs, cast("Predictor", Full()), lambda each: each))
    assert [each.code for each in failures if isinstance(each, Failure)] == ["out_of_memory"] * 2
    assert len(attempts) == 3


DEFECT = """
import sys
from pathlib import Path
from pellucid.inference import stream

class Defect:
    batch_size, max_pixels = 4, 1_000_000

    def predict(self, pictures):
        raise RuntimeError("a defect")

stream.PIXELS_AHEAD = 200_000
for _ in stream.stream([(path, path.name) for path in sorted(Path(sys.argv[1]).iterdir())], Defect(), print):
    pass
"""


def test_an_error_ends_the_program(tmp_path: Path) -> None:
    """The traceback that Python keeps of it keeps the generator, whose threads wait for room."""
    for number in range(6):
        Image.new("RGB", (400, 300)).save(tmp_path / f"{number}.bmp")
    ended = subprocess.run([sys.executable, "-c", DEFECT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr.endswith("RuntimeError: a defect\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(folder, build_model(CONFIG, 3).eval(), ModelMetadata(CONFIG, CLASSES))
    return folder


def folder(path: Path, number: int, bad: tuple[int, ...] = ()) -> Path:
    path.mkdir()
    random = np.random.default_rng(0)
    for index in range(number):
        if index in bad:
            (path / f"{index:03}.png").write_bytes(b"broken")
        else:
            Image.fromarray(random.integers(0, 256, (8, 8 + index % 3, 3), np.uint8)).save(path / f"{index:03}.png")
    return path


def paths(out: Path) -> list[str]:
    return [Path(json.loads(line)["path"]).name for line in (out / "predictions.jsonl").read_text().splitlines()]


FLOAT32 = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
"""Lets another process compute in float32 on every processor, as `conftest.py` does in this one."""

OTHER = """
import os
import sys
from pathlib import Path
from pellucid.errors import UserError
from pellucid.inference import predict_files
source, out, model = map(Path, sys.argv[1:4])
try:
    predict_files([source], source, model, "cpu")
except UserError as error:
    print(error)
os.environ["MASTER_PORT"] = sys.argv[4]  # a meeting point of its own: that of before may not be gone yet
print(predict_files([source], out, model, "cpu"))
"""


def test_two_processes_share_the_pictures_and_resume(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = folder(tmp_path / "in", 21, bad=(4,)), tmp_path / "out"
    with socket.socket() as one, socket.socket() as two:
        for free in (one, two):
            free.bind(("127.0.0.1", 0))
        first, second = (str(free.getsockname()[1]) for free in (one, two))
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": first}  # as torchrun does it
    command = [sys.executable, "-c", OTHER, str(source), str(out), str(model), second]
    other = subprocess.Popen(command, env=os.environ | shared | FLOAT32 | {"RANK": "1"}, stdout=subprocess.PIPE, text=True)
    for name, value in (shared | {"RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="Expected a new or an empty folder"):
        predict_files([source], source, model, "cpu")
    monkeypatch.setenv("MASTER_PORT", second)
    message: list[str] = []

    def log(line: str) -> None:
        message.append(line)
        with pytest.raises(UserError, match="in use"), files.locked(out):  # the first process holds it for both
            pytest.fail("not locked")

    summary = predict_files([source], out, model, "cpu", log=log)
    printed, _ = other.communicate(timeout=120)
    assert other.returncode == 0
    assert "Expected a new or an empty folder" in printed
    assert str(summary).splitlines()[0] in printed  # below it stands the reason of the precision, which is another
    assert (summary.num_pictures, summary.num_failed) == (21, 1)
    assert len(message) == 11
    assert paths(out) == [f"{index:03}.png" for index in range(21)]  # each once, in order
    assert not [*out.glob("predictions-*"), *out.glob(files.LOCK)]
    assert len(list((out / "restored").iterdir())) == 20
    monkeypatch.delenv("WORLD_SIZE")
    assert predict_files([source], tmp_path / "alone", model, "cpu").num_failed == 1
    alone, together = (list(journal.read_lines(each / "predictions.jsonl")) for each in (tmp_path / "alone", out))
    for one, two in zip(alone, together, strict=True):
        assert one == two | {"probabilities": one.get("probabilities")} | {"confidence": one.get("confidence")} or "error" in one
        assert one.get("probabilities") == pytest.approx(two.get("probabilities"), abs=1e-5)

    # stopped by a kill: parts are left, one with half a line
    text = (out / "predictions.jsonl").read_text().splitlines(keepends=True)
    (out / "predictions-0.jsonl").write_text("".join(text[:6:2]))
    (out / "predictions-1.jsonl").write_text("".join(text[1:6:2]) + '{"path": "cut o')
    (out / "predictions.jsonl").write_text("")
    Image.new("RGB", (8, 8)).save(source / "004.png")  # mended
    summary = predict_files([source], out, model, "cpu", resume=True)
    assert (summary.num_pictures, summary.num_failed) == (21, 0)
    assert sorted(paths(out)) == [f"{index:03}.png" for index in range(21)]
    assert not list(out.glob("predictions-*"))


def test_one_of_several_processes_speaks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    called = []
    monkeypatch.setattr("pellucid.inference.predict_files", lambda *arguments, **options: called.append(arguments))
    monkeypatch.setenv("RANK", "1")
    main(["predict", "a.png", "--out", "out"])
    assert called == [([Path("a.png")], Path("out"), "bundled", "auto", False, None, False, False)]
    assert capsys.readouterr().out == ""


def test_frames_stay_with_their_video_when_parts_are_merged(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text('{"path": "old"}\n')
    (tmp_path / "predictions-0.jsonl").write_text('{"path": "a", "frame": 0}\n{"path": "a", "frame": 1}\n{"path": "a"}\n{"path": "c"}\n')
    (tmp_path / "predictions-1.jsonl").write_text('{"path": "b"}\n')
    journal.finish(tmp_path)
    assert paths(tmp_path) == ["old", "a", "a", "a", "b", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_stopped_merge_leaves_no_line_twice(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    (left / "predictions-0.jsonl").write_text('{"path": "a", "frame": 0}\n{"path": "a", "frame": 1}\n{"path": "a"}\n{"path": "c"}\n')
    (left / "predictions-1.jsonl").write_text('{"path": "b"}\n{"path": "d", "error": {}}\n')
    for merged in ("", '{"path": "a", "frame": 0}\n', (left / "predictions-0.jsonl").read_text() + '{"path": "b"}\n'):
        out = shutil.copytree(left, tmp_path / "out")
        (out / "predictions.jsonl").write_text(merged)
        journal.begin(out, {}, resume=True)
        assert sorted(paths(out)) == ["a", "a", "a", "b", "c"]
        shutil.rmtree(out)


@pytest.mark.parametrize("failing", [None, 3])
def test_small_pictures_go_in_groups_in_their_order(tmp_path: Path, failing: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of several kinds in one group: small pictures of two sizes, a damaged one, and a large picture in a small file."""
    for number in range(40):
        shape = (300, 300) if number in (5, 20) else (8 + number % 2, 8)
        Image.new("RGB", shape, (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "07.png").write_bytes(b"no picture")
    assert (tmp_path / "05.png").stat().st_size < SMALL_FILE
    network = build_model(CONFIG, len(CLASSES)).eval()
    predictor = Predictor(network, CLASSES, batch_size=16)
    sizes: list[set[int]] = []
    predict = predictor.predict
    monkeypatch.setattr(predictor, "predict", lambda images: sizes.append({each.size // 3 for each in images}) or predict(images))

    def save(each: Predicted | Failure) -> str:
        if failing is not None and each.path.name == f"{failing:02}.png":
            raise OSError("disk full")
        return each.path.name + ("!" if isinstance(each, Failure) else "")

    saved = []
    streamed = stream(((path, PurePosixPath(path.name)) for path in sorted(tmp_path.iterdir())), predictor, save)
    if failing is None:
        saved = list(streamed)
        assert saved == [f"{number:02}.png" + "!" * (number == 7) for number in range(40)]
        assert sizes.count({90_000}) == 2  # alone, so that there is one in memory at a time
    else:
        with pytest.raises(OSError, match="disk full"):
            saved.extend(streamed)
        assert saved == ["00.png", "01.png", "02.png"]
