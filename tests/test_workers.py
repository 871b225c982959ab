"""Small pictures in forked processes: the same results as in threads, and clear ends."""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pellucid import files, pictures
from pellucid.checkpoint import ModelMetadata, save_model
from pellucid.errors import UserError
from pellucid.inference import Predictor, predict_files
from pellucid.inference.stream import SMALL_FILE
from pellucid.inference.workers import start_workers
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.pictures import Picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are processes forked")

CONFIG = ModelConfig(encoder=EncoderConfig(widths=(8, 16), depths=(1, 1)), damage_head=True)
CLASSES, DAMAGES = ("cat", "dog", "ship"), ("gaussian_noise", "occlusion")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(folder, build_model(CONFIG, 3, DAMAGES).eval(), ModelMetadata(CONFIG, CLASSES, DAMAGES))
    return folder


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    monkeypatch.setattr("pellucid.inference.stream.MIN_GROUPS", 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures of several sizes, a damaged file, one of a large picture, and a large file."""
    folder = tmp_path_factory.mktemp("in")
    random = np.random.default_rng(0)
    for number in range(300):
        Image.fromarray(random.integers(0, 256, (8, 8 + number % 3, 3), np.uint8)).save(folder / f"{number:03}.png")
    (folder / "070.png").write_bytes(b"broken")
    Image.new("RGB", (300, 300)).save(folder / "100.png")
    assert (folder / "100.png").stat().st_size < SMALL_FILE
    Image.fromarray(random.integers(0, 256, (120, 120, 3), np.uint8)).save(folder / "290.png")
    assert (folder / "290.png").stat().st_size > SMALL_FILE
    return folder


def results(out: Path) -> dict[str, bytes]:
    """The contents of all files."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def forked(pids: Path) -> set[int]:
    """The processes that wrote their number."""
    return {int(pid) for pid in pids.read_text().split()}


def test_forks_give_the_same_files_and_lines_as_threads(
    tmp_path: Path, model: Path, source: Path, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1500, 1500), interpolation=cv2.INTER_AREA)  # starts threads of OpenCV
    texts: dict[bool, list[str]] = {True: [], False: []}
    predict, pids = Predictor.predict, tmp_path / "pids"

    def noted(self: Predictor, images: object) -> object:
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return predict(self, images)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "predict", noted)
    for forks in (True, False):
        monkeypatch.setattr("pellucid.inference.stream.CAN_FORK", forks)
        pids.unlink(missing_ok=True)
        done: list[tuple[int, int]] = []
        summary = predict_files(
            [source],
            tmp_path / str(forks),
            model,
            "cpu",
            progress=lambda *counts: done.append(counts),  # noqa: B023
            log=texts[forks].append,
            uncertainty=True,
            second_look=True,
        )
        assert (summary.num_pictures, summary.num_failed) == (300, 1)
        assert done == [(number, 300) for number in range(1, 301)]
        assert len(forked(pids)) == (3 if forks else 1)  # this one does the large pictures
    assert texts[True] == texts[False]
    assert results(tmp_path / "True") == results(tmp_path / "False")
    assert torch.get_num_threads() == 2


def test_a_call_that_stopped_goes_on(tmp_path: Path, model: Path, source: Path, two_cores: None) -> None:
    def stop(done: int, total: int) -> None:
        if done == 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files([source], tmp_path / "out", model, "cpu", progress=stop)
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 80
    assert predict_files([source], tmp_path / "out", model, "cpu", resume=True).num_pictures == 300


def test_a_full_disk_stops_all(tmp_path: Path, model: Path, source: Path, two_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    write = pictures.write

    def full(path: Path, image: Picture) -> None:
        if path.name == "005.png":
            raise UserError("Expected to write, found no space.") from OSError(28, "No space left on device")
        write(path, image)

    monkeypatch.setattr(pictures, "write", full)
    with pytest.raises(UserError, match="no space"):
        predict_files([source], tmp_path / "out", model, "cpu")
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 5


def test_a_killed_process_is_a_sentence(
    tmp_path: Path, model: Path, source: Path, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pictures.write

    def killed(path: Path, image: Picture) -> None:
        if path.name == "131.png":
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, image)

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "write", killed)
        with pytest.raises(UserError, match=r"Expected processes .*, found that one was killed, .*--resume"):
            predict_files([source], tmp_path / "out", model, "cpu")
    assert predict_files([source], tmp_path / "out", model, "cpu", resume=True).num_pictures == 300


def test_errors_and_their_tracebacks_come_back() -> None:
    def work(number: int) -> int:
        return 1 // number

    for forks in (True, False):
        with start_workers(work, 2, forks) as submit:
            assert [submit(number).result() for number in (1, -1)] == [1, -1]
            with pytest.raises(ZeroDivisionError) as caught:
                submit(0).result()
            assert "return 1 // number" in "".join(traceback.format_exception(caught.value))


SCRIPT = """
import signal
import sys
import torch
from pellucid.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
torch.set_num_threads(2)
main(["predict", sys.argv[1], "--out", sys.argv[2], "--model", sys.argv[3], "--device", "cpu"])
"""


@pytest.fixture
def running(tmp_path: Path, model: Path, source: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A call on the command line that has written its first lines, and its processes."""
    many = tmp_path / "in"
    many.mkdir()
    for number in range(4_000):
        os.link(source / "000.png", many / f"{number}.png")
    command = [sys.executable, "-c", SCRIPT, str(many), str(tmp_path / "out"), str(model)]
    lines = tmp_path / "out" / "predictions.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert within(120, lambda: lines.exists() and lines.stat().st_size > 0)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            yield process, [int(pid) for pid in children.read_text().split()]
        finally:
            process.kill()


def within(seconds: float, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_processes_end_with_the_call(tmp_path: Path, running: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, children = running
    assert len(children) == 2
    process.kill()
    process.wait(30)
    assert within(30, lambda: not any(Path("/proc", str(pid)).exists() for pid in children))
    with files.locked(tmp_path / "out"):  # it is free
        pass
    for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines(keepends=True):
        if line.endswith("\n") and "error" not in json.loads(line):
            Image.open(tmp_path / "out" / json.loads(line)["restored"]).load()  # whole


def test_ctrl_c_is_a_sentence(running: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, children = running
    os.killpg(process.pid, signal.SIGINT)  # to all of them, as terminals do it
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert message == "pellucid: stopped; the same command with --resume goes on from here.\n"
    assert not any(Path("/proc", str(pid)).exists() for pid in children)
