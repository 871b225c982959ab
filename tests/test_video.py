"""Videos: as many frames, at the same rate, and a line for each."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.inference import Predictor, predict_files

CLASSES = ("red", "green", "blue")


class Bright(nn.Module):
    """Adds a tenth of the range, and takes the mean of each channel for its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(0.1))

    def forward(self, images: Tensor) -> Output:
        return Output(images.mean(dim=(2, 3)) * 10, images + self.offset)


class Namer(Bright):
    def forward(self, images: Tensor) -> Output:
        return super().forward(images)._replace(restored=None)


@pytest.fixture(autouse=True)
def _bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Bright().eval(), CLASSES, batch_size=8))


def video(path: Path, num_frames: int = 30, rate: float = 29.97, codec: str = "mp4v") -> Path:
    """Frames of one colour each, which turns from red to blue."""
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (64, 48))
    for number in range(num_frames):
        share = number / num_frames
        writer.write(np.full((48, 64, 3), (200 * share, 0, 200 * (1 - share)), np.uint8))
    writer.release()
    return path


def frames(path: Path) -> tuple[float, list[NDArray[Any]]]:
    capture, read = cv2.VideoCapture(str(path)), []
    while (following := capture.read())[0]:
        read.append(following[1])
    return capture.get(cv2.CAP_PROP_FPS), read


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "codec", "tolerance"), [("a.mp4", "mp4v", 12), ("a.avi", "FFV1", 2), ("b.AVI", "MJPG", 12), ("a.mkv", "FFV1", 2)]
)
def test_a_video_comes_back_with_its_rate_and_length(tmp_path: Path, name: str, codec: str, tolerance: int) -> None:
    source, text = video(tmp_path / "in" / name, codec=codec), []
    summary = predict_files([tmp_path / "in"], tmp_path / "out", device="cpu", log=text.append)
    assert (summary.num_pictures, summary.num_failed) == (1, 0)
    *of_frames, of_video = lines(tmp_path / "out")
    assert [line["frame"] for line in of_frames] == list(range(30))
    assert [of_frames[0]["label"], of_frames[-1]["label"]] == ["red", "blue"]
    assert (of_video["frames"], of_video["restored"]) == (30, f"restored/{name}")
    assert of_video["fps"] == pytest.approx(29.97, abs=0.01)
    assert "without sound" in of_video["notes"]
    assert ("compressed with loss as MPEG-4" in of_video["notes"]) == name.endswith(".mp4")
    assert len(text) == 1
    assert text[0].startswith(f"{source}: 30 frames at 29.97 a second -> restored/{name} (compressed with")
    (given_rate, given), (rate, restored) = frames(source), frames(tmp_path / "out" / of_video["restored"])
    assert rate == pytest.approx(given_rate)
    assert len(restored) == len(given) == 30
    for one, other in zip(given, restored, strict=True):
        assert np.abs(np.clip(one.astype(float) + 25.5, 0, 255) - other).mean() < tolerance


def test_a_classifier_writes_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Namer().eval(), CLASSES))
    predict_files([video(tmp_path / "a.mp4", 5)], tmp_path / "out", device="cpu")
    *of_frames, of_video = lines(tmp_path / "out")
    assert (len(of_frames), of_video["restored"], of_video["notes"]) == (5, None, [])
    assert not (tmp_path / "out" / "restored").exists()


def test_what_is_no_video_and_half_a_video_are_lines(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "text.mp4").write_text("Dear diary")
    (tmp_path / "in" / "empty.avi").touch()
    whole = video(tmp_path / "whole.avi", 60, codec="MJPG").read_bytes()
    (tmp_path / "in" / "half.avi").write_bytes(whole[: len(whole) // 2])
    video(tmp_path / "in" / "z.mp4", 4)
    summary = predict_files([tmp_path / "in"], tmp_path / "out", device="cpu")
    assert (summary.num_pictures, summary.num_failed) == (4, 3)
    errors = {Path(line["path"]).name: line["error"]["message"] for line in lines(tmp_path / "out") if "error" in line}
    assert errors.keys() == {"text.mp4", "empty.avi", "half.avi"}
    for name in ("text.mp4", "empty.avi"):
        assert "Expected a video that OpenCV can decode in" in errors[name]
    assert "Expected 60 frames in" in errors["half.avi"]
    assert [path.name for path in (tmp_path / "out" / "restored").iterdir()] == ["z.mp4"]


def test_frames_that_an_edit_list_trims_are_not_missing(tmp_path: Path) -> None:
    """As phones trim a video: the frames stay in the file, and players leave them out."""
    content = bytearray(video(tmp_path / "in" / "a.mp4", 90, 30).read_bytes())
    half, second = (struct.pack(">I", number) for number in (1500, 15360))  # milliseconds, and units of the track
    for box, start, value in ((b"mvhd", 20, half), (b"tkhd", 24, half), (b"elst", 12, half), (b"elst", 16, second)):
        place = content.index(box) + start
        content[place : place + 4] = value
    (tmp_path / "in" / "a.mp4").write_bytes(content)
    assert predict_files([tmp_path / "in"], tmp_path / "out", device="cpu").num_failed == 0
    assert len(frames(tmp_path / "out" / "restored" / "a.mp4")[1]) == lines(tmp_path / "out")[-1]["frames"] == 45


def test_outputs_that_are_not_finite_fail_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Bright().eval()
    nn.init.constant_(broken.offset, torch.nan)
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(broken, CLASSES))
    assert predict_files([video(tmp_path / "a.mp4", 3)], tmp_path / "out", device="cpu").num_failed == 1
    assert "finite" in lines(tmp_path / "out")[-1]["error"]["message"]


def test_frames_of_another_size_fail_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Grows:
        """A video whose tenth frame is larger."""

        def __init__(self, path: str) -> None:
            self.capture, self.number = real(path), 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.capture, name)

        def read(self) -> tuple[bool, Any]:
            good, frame = self.capture.read()
            self.number += 1
            return good, cv2.resize(frame, (128, 96)) if self.number == 10 else frame

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", Grows)
    predict_files([video(tmp_path / "in" / "a.mp4")], tmp_path / "out")
    error = lines(tmp_path / "out")[-1]["error"]
    assert error["code"] == "unreadable"
    assert error["message"].startswith("Expected frames of one size in")
    assert not list((tmp_path / "out" / "restored").glob("*"))


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_a_video_that_could_not_be_written_whole_is_an_error(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A writer that loses the frames after the fifth, as OpenCV's on a full disk."""

        def __init__(self, *arguments: Any) -> None:
            self.writer, self.left = real(*arguments), 5

        def __getattr__(self, name: str) -> Any:
            return getattr(self.writer, name)

        def write(self, frame: NDArray[Any]) -> None:
            self.left -= 1
            if self.left >= 0:
                self.writer.write(frame)

    source, real = video(tmp_path / "in" / name), cv2.VideoWriter
    monkeypatch.setattr(cv2, "VideoWriter", Full)
    Full.fourcc = real.fourcc  # type: ignore[attr-defined]
    predict_files([source], tmp_path / "out")
    error = lines(tmp_path / "out")[-1]["error"]
    assert error["code"] == "unwritable"
    assert "not all frames were written" in error["message"]
    assert not list((tmp_path / "out" / "restored").glob("*"))


def test_a_stopped_video_begins_anew(tmp_path: Path) -> None:
    video(tmp_path / "in" / "a.mp4", 5)
    video(tmp_path / "in" / "b.mp4", 7)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files([tmp_path / "in"], tmp_path / "out", device="cpu", progress=stop)
    assert len(lines(tmp_path / "out")) == 6
    path = tmp_path / "out" / "predictions.jsonl"
    path.write_text(
        path.read_text() + json.dumps({"path": str(tmp_path / "in" / "b.mp4"), "frame": 0, "model": "bundled", "mirror": False}) + "\n"
    )
    summary = predict_files([tmp_path / "in"], tmp_path / "out", device="cpu", resume=True)
    assert (summary.num_pictures, summary.num_failed) == (2, 0)
    assert [line.get("frame") for line in lines(tmp_path / "out")] == [*range(5), None, *range(7), None]


class Divided(Bright):
    """Unsure of the first frames, which turn bright once they are restored; leaves nothing."""

    def forward(self, images: Tensor) -> Output:
        brightness = images.mean(dim=(1, 2, 3))
        return Output(torch.stack([0.4 - brightness, brightness - 0.4, torch.full_like(brightness, -9)], 1) * 20, images + self.offset)


def test_what_pictures_can_be_asked_for_can_be_asked_of_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, abstain_below: float, second_look: bool, **__: Any) -> Predictor:
        return Predictor(Divided().eval(), CLASSES, batch_size=4, abstain_below=abstain_below, second_look=second_look)

    monkeypatch.setattr(Predictor, "load", load)
    path, text = tmp_path / "a.avi", []
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 10, (64, 48))
    for level in (20, 20, 90, 90, 90, 250, 250):  # sure and dark, dark until it is restored, sure and bright
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    asked = {"abstain_below": 0.9, "second_look": True, "uncertainty": True}
    summary = predict_files([path], tmp_path / "out", device="cpu", log=text.append, **asked)
    *of_frames, of_video = lines(tmp_path / "out")
    assert [line["alarm"] for line in of_frames] == [False, False, True, True, True, False, False]
    assert [line.get("abstained", False) for line in of_frames] == [False, False, True, True, True, False, False]
    assert of_frames[2]["label"] is None
    assert of_video["counts"] == {"left": 0, "abstained": 3, "alarm": 3, "unfamiliar": 0}
    assert "7 frames at 10 a second, 3 without a sure class, 3 with an alarm -> restored/a.avi" in text[0]
    assert "the model knows 3 classes" in str(summary)
    rate, uncertain = frames(tmp_path / "out" / of_video["uncertainty"])
    assert (rate, len(uncertain)) == (10, 7)
    # the change alone is uncertain: a fifth of 0.1, of which a tenth of the range is white, and less where white cuts it off
    assert [round(float(frame.mean())) for frame in uncertain] == pytest.approx([51] * 5 + [10] * 2, abs=2)


def test_without_restored_frames_there_is_no_uncertainty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Namer().eval(), CLASSES))
    predict_files([video(tmp_path / "a.mp4", 5)], tmp_path / "out", device="cpu", uncertainty=True)
    assert lines(tmp_path / "out")[-1]["uncertainty"] is None
    assert not (tmp_path / "out" / "uncertainty").exists()


def test_names_with_a_colon_are_files_and_no_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert predict_files([video(tmp_path / "12:30.mp4").relative_to(tmp_path)], Path("a:b")).num_failed == 0
    assert (tmp_path / "a:b" / "restored" / "12:30.mp4").is_file()


def test_a_name_that_opencv_cannot_take_stops_nothing(tmp_path: Path) -> None:
    video(tmp_path / "in" / "a.avi", 3, codec="FFV1").rename(tmp_path / "in" / os.fsdecode(b"caf\xe9.avi"))
    video(tmp_path / "in" / "z.avi", 3, codec="FFV1")
    summary = predict_files([tmp_path / "in"], tmp_path / "out")
    assert (summary.num_pictures, summary.num_failed) == (2, 1)
    assert "whose path is in UTF-8" in lines(tmp_path / "out")[0]["error"]["message"]
    assert (tmp_path / "out" / "restored" / "z.avi").is_file()


def test_a_varying_rate_and_pixels_that_are_not_square_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = video(tmp_path / "a.mp4", rate=25)
    source.write_bytes(with_short_frames(source.read_bytes()))

    class Tape:
        def __init__(self, capture: cv2.VideoCapture) -> None:
            self.capture = capture

        def get(self, name: int) -> float:
            # Of some files, OpenCV states the largest rate within them.
            return {cv2.CAP_PROP_SAR_NUM: 64.0, cv2.CAP_PROP_SAR_DEN: 45.0, cv2.CAP_PROP_FPS: 50.0}.get(name) or self.capture.get(name)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.capture, name)

    captured = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Tape(captured(path)))
    predict_files([source], tmp_path / "out")
    *_, of_video = lines(tmp_path / "out")
    assert of_video["frames"] == 30
    varying = "50 frames a second instead of a varying rate, 32.95 in the mean"  # 15 frames of 40 ms, 14 of 20
    assert of_video["notes"][2:] == [varying, "pixels of 64:45 became square"]


def with_short_frames(content: bytes) -> bytes:
    """An MP4 file of 30 frames whose last 15 are shown half as long, by its table of durations (ISO/IEC 14496-12, 8.6.1.2)."""
    start = content.index(b"stts") - 4
    size, _, _, num_entries, num_frames, duration = struct.unpack_from(">I4sIIII", content, start)
    assert (num_entries, num_frames) == (1, 30)
    table = struct.pack(">I4sIIIIII", size + 8, b"stts", 0, 2, 15, duration, 15, duration // 2)
    changed = bytearray(content[:start] + table + content[start + size :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        position = changed.index(box) - 4
        changed[position : position + 4] = struct.pack(">I", int.from_bytes(changed[position : position + 4]) + 8)
    return bytes(changed)
