"""Pictures in, predictions out: `Predictor` on arrays, `predict_files` on files and folders."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pellucid import files, pictures
from pellucid.batch import Output
from pellucid.checkpoint import CONFIG, WEIGHTS, ModelMetadata, load_model, save_model
from pellucid.degradations import DEGRADATIONS
from pellucid.device import choose_device
from pellucid.errors import UserError
from pellucid.inference import EstimatedDamage, Predictor, journal, predict_files, sheet
from pellucid.inference.footprint import BUDGET, MAPS_AT_ONCE
from pellucid.inference.inputs import LISTED, inputs, mask_target, restored_name
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.pictures.display import fit

CONFIG_OF_ALL = ModelConfig(encoder=EncoderConfig(widths=(8, 16), depths=(1, 1)))
CLASSES = ("cat", "dog", "ship")


def network(config: ModelConfig = CONFIG_OF_ALL) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(config, len(CLASSES)).eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(folder, network(), ModelMetadata(CONFIG_OF_ALL, CLASSES))
    return folder


def picture(height: int = 12, width: int = 20, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def put(path: Path, image: NDArray[np.uint8] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture() if image is None else image).save(path)
    return path


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class Bright(nn.Module):
    """Adds a third of the range, and takes the mean of each channel for its logits; keeps the size of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(85 / 255))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Output:
        self.seen.append(tuple(images.shape))
        return Output(images.mean(dim=(2, 3)) * 10, images + self.offset)


DAMAGES = ("gaussian_noise", "occlusion", "jpeg")


class Detector(nn.Module):
    """Takes the mean of each channel for a kind of damage: present from 0.5 up, of a hundred times that strength; black is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(100.0))

    def forward(self, images: Tensor) -> Output:
        means = images.mean(dim=(2, 3))
        lost = (images == 0).all(dim=1, keepdim=True).float() - 0.5
        return Output(restored=images, presence=10 * (means - 0.5), strength=self.scale * means, mask=lost)


class TestPredictor:
    def test_pictures_of_any_sizes_come_back_in_their_order(self) -> None:
        predictor = Predictor(Bright().eval(), CLASSES)
        colours = np.eye(3, dtype=np.uint8) * 200
        sizes = [(9, 8), (1, 1), (9, 8), (30, 7), (1, 1), (64, 33), (9, 8)]
        images = [np.full((*size, 3), colours[i % 3], np.uint8) for i, size in enumerate(sizes)]
        for i, (image, prediction) in enumerate(zip(images, predictor.predict(images), strict=True)):
            assert prediction.label == CLASSES[i % 3]
            np.testing.assert_array_equal(prediction.restored, np.minimum(image.astype(int) + 85, 255))
            assert prediction.restored is not None
            assert prediction.restored.dtype == np.uint8
            assert prediction.probabilities is not None
            assert list(prediction.probabilities) == list(CLASSES)
            assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-6)
            assert prediction.confidence == max(prediction.probabilities.values()) == pytest.approx(1 / (1 + 2 * np.exp(-200 / 25.5)))

    def test_one_size_goes_through_together_and_small_ones_are_enlarged(self) -> None:
        bright = Bright().eval()
        predictor = Predictor(bright, CLASSES, batch_size=3)
        bright.seen.clear()
        predictor.predict([picture(1, 20), *[picture(16, 9)] * 4, picture(1, 20)])
        assert bright.seen == [(2, 3, 8, 20), (3, 3, 16, 9), (1, 3, 16, 9)]

    def test_a_batch_holds_no_more_pixels_than_fit(self) -> None:
        bright = Bright().eval()
        predictor = Predictor(bright, CLASSES)
        predictor.max_pixels = 250
        bright.seen.clear()
        assert len(predictor.predict([picture(10, 10)] * 5)) == 5
        assert [shape[0] for shape in bright.seen] == [2, 2, 1]

    def test_a_larger_picture_goes_through_in_tiles(self) -> None:
        bright = Bright().eval()
        predictor = Predictor(bright, CLASSES)
        predictor.max_pixels = 10_000
        side = predictor.tiling.side
        assert 64 <= side <= 100
        bright.seen.clear()
        image = picture(200, 333)
        (prediction,) = predictor.predict(image)
        np.testing.assert_array_equal(prediction.restored, np.minimum(image.astype(int) + 85, 255))
        assert bright.seen[0] == (1, 3, 32, 53)  # the whole picture, at the size of the training images
        assert {shape[2:] for shape in bright.seen[1:]} == {(side, side)}

    def test_classes_come_from_the_whole_picture_at_the_training_size(self) -> None:
        predictor = Predictor(Bright().eval(), CLASSES, image_size=16)
        image = np.full((64, 48, 3), (0, 90, 0), np.uint8)
        image[:, :12] = (250, 0, 0)  # a quarter
        (prediction,) = predictor.predict(image)
        assert prediction.probabilities is not None
        expected = np.exp(10 * np.array([62.5, 67.5, 0]) / 255)
        assert list(prediction.probabilities.values()) == pytest.approx(list(expected / expected.sum()), abs=0.01)

    @pytest.mark.parametrize("size", [(12, 20), (80, 90)])
    def test_grey_stays_grey(self, size: tuple[int, int]) -> None:
        grey = picture(*size)[:, :, :1].repeat(3, axis=2)
        colour = picture(*size)
        for prediction, is_grey in zip(Predictor(network(), CLASSES).predict([grey, colour]), (True, False), strict=True):
            assert prediction.restored is not None
            assert (prediction.restored == prediction.restored[:, :, :1]).all() == is_grey

    def test_sixteen_bits_come_back(self) -> None:
        deep = np.random.default_rng(0).integers(0, 65536, (9, 14, 3), dtype=np.uint16)
        (prediction,) = Predictor(Bright().eval(), CLASSES).predict(deep)
        assert prediction.restored is not None
        assert prediction.restored.dtype == np.uint16
        assert np.abs(prediction.restored - np.minimum(deep.astype(int) + 21845, 65535)).max() <= 1

    @pytest.mark.parametrize("size", [(1, 1), (3, 40), (12, 20), (33, 47)])
    def test_company_changes_nothing(self, size: tuple[int, int]) -> None:
        predictor = Predictor(network(), CLASSES)
        images = [picture(*size, seed=seed) for seed in range(3)]
        together = predictor.predict([picture(5, 5), *images])[1:]
        for image, shared in zip(images, together, strict=True):
            (alone,) = predictor.predict(image)
            assert shared.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
            assert shared.restored is not None
            assert alone.restored is not None
            assert shared.restored.shape == (*size, 3)
            assert np.abs(shared.restored.astype(int) - alone.restored).max() <= 1  # rounding

    def test_an_array_of_pictures_is_a_sequence_of_them(self) -> None:
        predictor = Predictor(network(), CLASSES)
        assert len(predictor.predict(np.stack([picture(), picture()]))) == 2
        assert predictor.predict([]) == []

    def test_single_tasks_say_nothing_of_the_other(self) -> None:
        (classified,) = Predictor(network(replace(CONFIG_OF_ALL, tasks="classify")), CLASSES).predict(picture())
        assert classified.label in CLASSES
        assert classified.restored is None
        (restored,) = Predictor(network(replace(CONFIG_OF_ALL, tasks="restore")), CLASSES).predict(picture())
        assert (restored.label, restored.confidence, restored.probabilities) == (None, None, None)
        assert restored.restored is not None

    def test_damage_comes_with_its_units_and_the_mask_at_the_picture_s_size(self) -> None:
        red, blue = np.full((9, 30, 3), (255, 51, 51), np.uint8), np.full((5, 3, 3), (51, 51, 255), np.uint8)
        red[2:4, 5:8] = blue[4:, 2:] = 0  # the corner is repeated in the margin
        one, other = Predictor(Detector().eval(), CLASSES, damages=DAMAGES).predict([red, blue])
        for prediction, image, kind in ((one, red, "gaussian_noise"), (other, blue, "jpeg")):
            assert prediction.damage is not None
            assert prediction.mask is not None
            assert list(prediction.damage) == list(DAMAGES)
            assert [kind for kind, actual in prediction.damage.items() if actual["probability"] > 0.5] == [kind]
            assert [actual["unit"] for actual in prediction.damage.values()] == [DEGRADATIONS[kind].unit for kind in DAMAGES]
            assert prediction.mask.dtype == np.bool_
            np.testing.assert_array_equal(prediction.mask, (image == 0).all(axis=2))
        assert one.damage is not None
        mean = red[..., 0].mean() / 255
        assert one.damage["gaussian_noise"]["strength"] == pytest.approx(100 * mean, rel=1e-5)
        assert one.damage["gaussian_noise"]["probability"] == pytest.approx(1 / (1 + np.exp(-10 * (mean - 0.5))), rel=1e-5)

    def test_a_network_with_a_damage_head(self) -> None:
        config = replace(CONFIG_OF_ALL, damage_head=True)
        predictor = Predictor(build_model(config, len(CLASSES), DAMAGES).eval(), CLASSES, damages=DAMAGES)
        for prediction in predictor.predict([picture(12, 20), picture(3, 5)]):
            assert prediction.label in CLASSES
            assert prediction.restored is not None
            assert prediction.mask is not None
            assert prediction.mask.shape == prediction.restored.shape[:2]
            assert prediction.damage is not None
            assert all(0 < actual["probability"] < 1 and actual["strength"] > 0 for actual in prediction.damage.values())

    def test_without_a_damage_head_or_the_names_there_is_no_damage(self) -> None:
        (without,) = Predictor(network(), CLASSES, damages=DAMAGES).predict(picture())
        assert (without.damage, without.mask) == (None, None)
        (nameless,) = Predictor(Detector().eval(), CLASSES).predict(picture())
        assert nameless.damage is None
        assert nameless.mask is not None

    @pytest.mark.parametrize(("shape", "dtype"), [((4, 4), "u1"), ((4, 4, 4), "u1"), ((4, 4, 3), "f8"), ((0, 4, 3), "u1")])
    def test_only_rgb_is_taken(self, shape: tuple[int, ...], dtype: str) -> None:
        with pytest.raises(ValueError, match=r"Expected uint8 or uint16 images of shape \(H, W, 3\), found .*; convert"):
            Predictor(network(), CLASSES).predict([picture(), np.zeros(shape, dtype)])

    def test_a_network_in_training_is_refused(self) -> None:
        with pytest.raises(ValueError, match="Expected a network in evaluation mode"):
            Predictor(network().train(), CLASSES)

    def test_wider_networks_take_smaller_pictures(self) -> None:
        narrow, wide = (
            Predictor(network(replace(CONFIG_OF_ALL, encoder=EncoderConfig(widths=widths, depths=(1, 1)))), CLASSES)
            for widths in ((32, 64), (64, 128))
        )
        assert narrow.max_pixels == pytest.approx(2 * wide.max_pixels, abs=2)
        assert wide.max_pixels == BUDGET // (MAPS_AT_ONCE * 64 * 4)  # its widest map has 64 channels at full resolution

    def test_a_device_that_is_not_there_is_a_sentence(self) -> None:
        assert choose_device("cpu") == torch.device("cpu")
        assert choose_device().type in ("cpu", "cuda", "mps")
        with pytest.raises(UserError, match="Expected a device that torch can use here, found 'gpu'"):
            choose_device("gpu")


class TestLoad:
    def test_a_saved_model_answers_as_the_network_did(self, model: Path) -> None:
        (loaded,) = Predictor.load(model, "cpu").predict(picture())
        (direct,) = Predictor(network(), CLASSES).predict(picture())
        assert loaded.probabilities == direct.probabilities
        np.testing.assert_array_equal(loaded.restored, direct.restored)

    @staticmethod
    def drop(name: str) -> Callable[[Path], None]:
        return lambda folder: (folder / name).unlink()

    @staticmethod
    def cut(name: str) -> Callable[[Path], None]:
        def spoil(folder: Path) -> None:
            (folder / name).write_bytes((folder / name).read_bytes()[:100])

        return spoil

    @staticmethod
    def change(**settings: object) -> Callable[[Path], None]:
        def spoil(folder: Path) -> None:
            (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | settings))

        return spoil

    @pytest.mark.parametrize(
        ("spoil", "found"),
        [
            (drop(CONFIG), "no config.json in it"),
            (drop(WEIGHTS), "found one that can't be read"),
            (cut(CONFIG), "found one that can't be read"),
            (cut(WEIGHTS), "found one that can't be read"),
            (change(format=99), r"found 99 \(saved by Pellucid .*\); use that version of Pellucid"),
            (change(classes=["cat"]), "found one that can't be read"),
            (change(model={"encoder": {"name": "resnet18"}, "colour": "blue"}), "found one that can't be read"),
            (change(model={"encoder": {"name": "no_such_net"}}), "no_such_net"),
        ],
        ids=["no config", "no weights", "half a config", "half the weights", "format", "classes", "unknown setting", "encoder"],
    )
    def test_what_is_no_whole_model_is_a_sentence(self, tmp_path: Path, spoil: Callable[[Path], None], found: str) -> None:
        save_model(tmp_path / "model", network(), ModelMetadata(CONFIG_OF_ALL, CLASSES))
        spoil(tmp_path / "model")
        with pytest.raises(UserError, match=f"Expected .*{found}"):
            load_model(tmp_path / "model")

    def test_a_missing_model_costs_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no such folder"):
            predict_files([put(tmp_path / "a.png")], tmp_path / "out", tmp_path / "missing")
        assert not (tmp_path / "out").exists()


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(picture()), "JPEG", exif=exif)


def huge() -> bytes:
    """A picture of 20,000 x 20,000: one bit a pixel, in a few kilobytes."""
    return encoded(Image.new("1", (20_000, 20_000)), "PNG")


RGB = Image.fromarray(picture())
GOOD = {
    "plain.png":    (encoded(RGB, "PNG"), (12, 20)),
    "cmyk.jpg":     (encoded(RGB.convert("CMYK"), "JPEG"), (12, 20)),
    "deep.png":     (cv2.imencode(".png", picture().astype(np.uint16) * 257)[1].tobytes(), (12, 20)),
    "palette.png":  (encoded(Image.new("P", (7, 5)), "PNG", transparency=b"\x80"), (5, 7)),
    "grey.tif":     (encoded(RGB.convert("L"), "TIFF"), (12, 20)),
    "clear.webp":   (encoded(RGB.convert("RGBA"), "WEBP"), (12, 20)),
    "turned.jpg":   (turned(), (20, 12)),
    "one.gif":      (encoded(Image.new("P", (1, 1)), "GIF"), (1, 1)),
}  # fmt: skip
BAD = {
    "cut.png":   (encoded(RGB, "PNG")[:300], "cut short"),
    "cut.jpg":   (encoded(RGB, "JPEG")[:-200], "cut short"),
    "text.png":  (b"Dear diary", "nothing that can be read as one"),
    "empty.jpg": (b"", "an empty file"),
    "huge.png":  (huge(), "20,000 x 20,000"),
    "float.tif": (encoded(Image.new("F", (3, 2)), "TIFF"), "mode F"),
}  # fmt: skip


class TestPredictFiles:
    def test_bad_pictures_are_lines_and_a_count(self, tmp_path: Path, model: Path) -> None:
        for name, (content, _) in {**GOOD, **BAD}.items():
            (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "in" / name).write_bytes(content)
        text: list[tuple[int, int]] = []
        summary = predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu", progress=lambda *counts: text.append(counts))
        total = len(GOOD) + len(BAD)
        assert (summary.num_pictures, summary.num_failed) == (total, len(BAD))
        assert text == [(done, total) for done in range(1, total + 1)]
        assert [Path(line["path"]).name for line in lines(tmp_path / "out")] == sorted([*GOOD, *BAD])
        for line in lines(tmp_path / "out"):
            name = Path(line["path"]).name
            if name in BAD:
                assert set(line) == {"path", "schema", "error", "model", "mirror"}
                assert line["error"]["code"] == "unreadable"
                assert BAD[name][1] in line["error"]["message"]
                assert name in line["error"]["message"]
                continue
            assert set(line) == {
                *("path", "label", "confidence", "probabilities", "restored", "damage", "lost", "left", "mask", "notes"),
                "schema",
                "model",
                "mirror",
            }
            assert (line["damage"], line["lost"], line["mask"]) == (None, None, None)
            assert line["probabilities"][line["label"]] == line["confidence"] == max(line["probabilities"].values())
            assert list(line["probabilities"]) == list(CLASSES)
            assert pictures.read(tmp_path / "out" / line["restored"]).shape[:2] == GOOD[name][1]
        assert len(tree(tmp_path / "out")) == len(GOOD) + 2
        assert str(len(BAD)) in str(summary)
        assert "8 pictures went well" in str(summary)

    def test_the_lines_say_what_the_model_says(self, tmp_path: Path, model: Path) -> None:
        images = {f"{seed:02}.png": picture(8 + seed % 3, 9, seed) for seed in range(10)}
        for name, image in images.items():
            put(tmp_path / "in" / name, image)
        predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu")
        expected = Predictor.load(model, "cpu").predict(list(images.values()))
        for line, prediction in zip(lines(tmp_path / "out"), expected, strict=True):
            assert line["label"] == prediction.label
            assert line["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)
            restored = pictures.read(tmp_path / "out" / line["restored"])
            assert prediction.restored is not None
            assert np.abs(restored.astype(int) - prediction.restored).max() <= 1

    def test_more_pictures_than_a_chunk_keep_their_order(self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        largest = 0
        predict = Predictor.predict

        def watched(self: Predictor, images: list[NDArray[np.uint8]]) -> Any:
            nonlocal largest
            largest = max(largest, len(images))
            return predict(self, images)

        monkeypatch.setattr(Predictor, "predict", watched)
        for number in range(150):
            put(tmp_path / "in" / f"{number:03}.png", picture(4, 4, number))
        summary = predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu")
        assert (summary.num_pictures, summary.num_failed) == (150, 0)
        assert [Path(line["path"]).stem for line in lines(tmp_path / "out")] == [f"{number:03}" for number in range(150)]
        assert largest == 64  # what is in memory at once, however many there are

    def test_nothing_good_is_said(self, tmp_path: Path, model: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"")
        summary = predict_files([tmp_path / "a.png"], tmp_path / "out", model, "cpu")
        assert (summary.num_pictures, summary.num_failed) == (1, 1)
        assert str(summary).startswith("None of 1 picture could be used: ")
        assert tree(tmp_path / "out") == ["contact-sheet.png", "predictions.jsonl"]

    @pytest.mark.parametrize(("tasks", "files"), [("classify", 0), ("restore", 1)])
    def test_a_single_task_leaves_null(self, tmp_path: Path, tasks: Any, files: int) -> None:
        config = replace(CONFIG_OF_ALL, tasks=tasks)
        save_model(tmp_path / "model", network(config), ModelMetadata(config, CLASSES))
        predict_files([put(tmp_path / "a.png")], tmp_path / "out", tmp_path / "model", "cpu")
        (line,) = lines(tmp_path / "out")
        printed = (line["label"], line["confidence"], line["probabilities"])
        assert (printed == (None, None, None)) is (tasks == "restore")
        assert (line["restored"] is None) is (tasks == "classify")
        assert len(tree(tmp_path / "out")) == 2 + files

    def test_damage_and_masks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Detector().eval(), CLASSES, damages=DAMAGES))
        image = np.full((10, 20, 3), 255, np.uint8)
        put(tmp_path / "in" / "a.png", image)
        image[3:5, 4:10] = 0
        put(tmp_path / "in" / "deep" / "b.tif", image)
        predict_files([tmp_path / "in"], tmp_path / "out", device="cpu")
        whole, masked = lines(tmp_path / "out")
        assert (whole["lost"], whole["mask"]) == (0, None)
        assert whole["damage"] == {
            kind: {"probability": pytest.approx(0.993307), "strength": 100, "unit": DEGRADATIONS[kind].unit} for kind in DAMAGES
        }
        assert masked["lost"] == pytest.approx(12 / 200)
        assert masked["mask"] == "masks/deep/b.tif.png"
        np.testing.assert_array_equal(pictures.read(tmp_path / "out" / masked["mask"]), np.where(image == 0, 255, 0))
        assert tree(tmp_path / "out" / "masks") == ["deep/b.tif.png"]
        predict_files([tmp_path / "out", tmp_path / "in"], tmp_path / "out", device="cpu", force=True)
        assert len(lines(tmp_path / "out")) == 2  # masks are no pictures to restore

    def test_a_saved_model_knows_the_names_of_its_damage(self, tmp_path: Path) -> None:
        config = replace(CONFIG_OF_ALL, damage_head=True)
        saved = build_model(config, len(CLASSES), DAMAGES).eval()
        save_model(tmp_path / "model", saved, ModelMetadata(config, CLASSES, DAMAGES))
        predict_files([put(tmp_path / "a.png")], tmp_path / "out", tmp_path / "model", "cpu")
        (line,) = lines(tmp_path / "out")
        (expected,) = Predictor(saved, CLASSES, damages=DAMAGES).predict(picture())
        assert expected.damage is not None
        assert line["damage"] == {
            kind: {
                "probability": pytest.approx(actual["probability"], abs=1e-6),
                "strength": pytest.approx(actual["strength"], abs=1e-6),
                "unit": actual["unit"],
            }
            for kind, actual in expected.damage.items()
        }

    def test_a_picture_that_cannot_be_written_is_a_line(self, tmp_path: Path, model: Path) -> None:
        name = "a" * 250 + ".jpg"  # its restored picture would be called longer than file systems allow
        put(tmp_path / "in" / name)
        put(tmp_path / "in" / "b.png")
        summary = predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu")
        assert (summary.num_pictures, summary.num_failed) == (2, 1)
        assert "Expected to write" in lines(tmp_path / "out")[0]["error"]["message"]

    def test_a_stop_keeps_what_is_done_and_resume_does_the_rest(self, tmp_path: Path, model: Path) -> None:
        for number in range(6):
            put(tmp_path / "in" / f"{number}.png", picture(4, 4, number))
        (tmp_path / "in" / "1.png").write_bytes(b"broken")

        def stop(done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu", progress=stop)
        assert [Path(line["path"]).name for line in lines(tmp_path / "out")] == ["0.png", "1.png", "2.png"]
        with (tmp_path / "out" / "predictions.jsonl").open("a") as file:
            file.write('{"path": "cut o')  # by a kill
        (tmp_path / "out" / "restored" / ".part-0a.png").write_bytes(b"half")  # by the same
        put(tmp_path / "in" / "1.png")  # mended
        text: list[str] = []
        summary = predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu", resume=True, log=text.append)
        assert (summary.num_pictures, summary.num_failed) == (6, 0)
        assert sorted(Path(line["path"]).name for line in lines(tmp_path / "out")) == [f"{number}.png" for number in range(6)]
        assert sorted(Path(line.split(":")[0]).name for line in text) == ["1.png", "3.png", "4.png", "5.png"]
        assert tree(tmp_path / "out") == ["contact-sheet.png", "predictions.jsonl", *(f"restored/{number}.png" for number in range(6))]
        assert predict_files([tmp_path / "in"], tmp_path / "new", model, "cpu", resume=True).num_pictures == 6  # nothing to go on with
        with pytest.raises(UserError, match="Expected to go on with the model of"):
            predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu", resume=True, mirror=True)
        assert predict_files([tmp_path / "in" / "2.png"], tmp_path / "out", model, "cpu", resume=True).num_pictures == 1
        with pytest.raises(UserError, match="empty folder"):
            predict_files([tmp_path / "in"], tmp_path / "in", model, "cpu", resume=True)

    def test_resuming_with_other_pictures_replaces_no_restored_one(self, tmp_path: Path, model: Path) -> None:
        for folder in ("a", "b"):
            put(tmp_path / folder / "x.png")
        predict_files([tmp_path / "a"], tmp_path / "out", model, "cpu")
        with pytest.raises(UserError, match=r"found .*b/x\.png, whose restored picture would replace that of .*a/x\.png"):
            predict_files([tmp_path / "b"], tmp_path / "out", model, "cpu", resume=True)
        [line] = lines(tmp_path / "out")
        assert line["path"] == str(tmp_path / "a" / "x.png")
        assert predict_files([tmp_path / "a", tmp_path / "b"], tmp_path / "out", model, "cpu", resume=True).num_pictures == 2

    def test_every_picture_has_a_line_of_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Detector().eval(), CLASSES, damages=DAMAGES))
        source, text = put(tmp_path / "a.png", np.full((10, 20, 3), 255, np.uint8)), []
        (tmp_path / "b.png").write_bytes(b"")
        predict_files([source, tmp_path / "b.png"], tmp_path / "out", device="cpu", log=text.append)
        assert text[0] == f"{source}: gaussian noise 100, jpeg 100 -> restored/a.png"
        assert text[1].startswith(f"{tmp_path / 'b.png'}: Expected a picture")

    def test_outputs_that_are_not_finite_are_failures(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Sometimes(Bright):
            def forward(self, images: Tensor) -> Output:
                output = super().forward(images)
                output.restored[images.mean(dim=(1, 2, 3)) < 0.1] = torch.nan
                return output

        monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Sometimes().eval(), CLASSES))
        dark, bright = put(tmp_path / "in" / "dark.png", 0 * picture()), put(tmp_path / "in" / "light.png", 0 * picture() + 200)
        summary = predict_files([bright, dark], tmp_path / "out", device="cpu")
        assert (summary.num_pictures, summary.num_failed) == (2, 1)
        good, failed = lines(tmp_path / "out")
        assert good["restored"] == "restored/light.png"
        assert failed == {"path": str(dark), "schema": 1, "error": failed["error"], "model": "bundled", "mirror": False}
        assert failed["error"]["code"] == "not_finite"
        assert "finite" in failed["error"]["message"]
        assert "NaN" not in (tmp_path / "out" / "predictions.jsonl").read_text()

    def test_too_little_memory_for_one_picture_fails_that_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Hungry(Bright):
            def forward(self, images: Tensor) -> Output:
                if images.any() and (len(images) > 1 or images.shape[2] > 20):
                    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
                return super().forward(images)

        monkeypatch.setattr(Predictor, "load", lambda *_, **__: Predictor(Hungry().eval(), CLASSES))
        for name, height in (("a.png", 12), ("b.png", 12), ("c.png", 30)):
            put(tmp_path / "in" / name, picture(height))
        summary = predict_files([tmp_path / "in"], tmp_path / "out", device="cpu")
        assert (summary.num_pictures, summary.num_failed) == (3, 1)
        assert "Expected memory for a picture of 20 x 30 pixels" in lines(tmp_path / "out")[2]["error"]["message"]

    def test_a_full_disk_stops_all(self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tried = []

        def full(path: Path, _image: NDArray[np.uint8]) -> None:
            tried.append(path)
            raise UserError("Expected to write, found no space.") from OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(pictures, "write", full)
        with pytest.raises(UserError, match="no space"):
            predict_files([put(tmp_path / "in" / "a.png").parent, put(tmp_path / "b.png")], tmp_path / "out", model, "cpu")
        assert len(tried) == 1

    def test_pipes_are_not_waited_for(self, tmp_path: Path, model: Path) -> None:
        put(tmp_path / "in" / "a.png")
        os.mkfifo(tmp_path / "in" / "b.png")
        assert predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu").num_pictures == 1
        with pytest.raises(UserError, match="found a pipe"):
            predict_files([tmp_path / "in" / "b.png"], tmp_path / "other", model, "cpu")

    def test_settings_without_a_meaning_are_refused(self) -> None:
        with pytest.raises(UserError, match="batch_size of at least 1, found 0"):
            Predictor(Bright().eval(), CLASSES, batch_size=0)
        with pytest.raises(UserError, match="every class once"):
            Predictor(Bright().eval(), ("cat", "dog", "cat"))


class TestOutputFolder:
    def test_a_folder_with_files_in_it_needs_force(self, tmp_path: Path, model: Path) -> None:
        kept = put(tmp_path / "out" / "mine.png")
        before = kept.read_bytes()
        source = put(tmp_path / "a.png")
        with pytest.raises(UserError, match=r"Expected a new or an empty folder .*out; choose another, --force"):
            predict_files([source], tmp_path / "out", model, "cpu")
        assert tree(tmp_path / "out") == ["mine.png"]
        predict_files([source], tmp_path / "out", model, "cpu", force=True)
        predict_files([source], tmp_path / "out", model, "cpu", force=True)
        assert tree(tmp_path / "out") == ["contact-sheet.png", "mine.png", "predictions.jsonl", "restored/a.png"]
        assert kept.read_bytes() == before

    def test_an_empty_folder_will_do(self, tmp_path: Path, model: Path) -> None:
        (tmp_path / "out").mkdir()
        assert predict_files([put(tmp_path / "a.png")], tmp_path / "out", model, "cpu").num_pictures == 1

    def test_two_calls_do_not_write_into_one_folder(self, tmp_path: Path, model: Path) -> None:
        source, refused = put(tmp_path / "a.png"), []

        def call_again(*_: int) -> None:
            for options in ({}, {"force": True}, {"resume": True}):
                with pytest.raises(UserError, match=r"no other process works in, found .*out in use"):
                    predict_files([source], tmp_path / "out", model, "cpu", **options)
                refused.append(options)

        predict_files([source], tmp_path / "out", model, "cpu", progress=call_again)
        assert len(refused) == 3
        assert tree(tmp_path / "out") == ["contact-sheet.png", "predictions.jsonl", "restored/a.png"]  # no lock file
        predict_files([source], tmp_path / "out", model, "cpu", force=True)

    def test_a_folder_in_use_is_refused_at_once(self, tmp_path: Path) -> None:
        script = (
            "import sys\nfrom pellucid.cli import main\ntry: main(sys.argv[1:])\n"
            "except SystemExit as stopped: print(stopped.code, 'torch' in sys.modules)"
        )
        command = [sys.executable, "-c", script, "predict", str(put(tmp_path / "a.png")), "--out", str(tmp_path / "out")]
        with files.locked(tmp_path / "out"):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "2 False\n"
        assert done.stderr.startswith("pellucid: Expected a folder that no other process works in")

    def test_a_call_that_was_killed_leaves_no_lock(self, tmp_path: Path, model: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / files.LOCK).touch()
        assert predict_files([put(tmp_path / "a.png")], tmp_path / "out", model, "cpu").num_pictures == 1
        assert not (tmp_path / "out" / files.LOCK).exists()

    def test_a_mistake_leaves_no_folder(self, tmp_path: Path, model: Path) -> None:
        for path, of in ((tmp_path / "missing.png", model), (put(tmp_path / "a.png"), tmp_path / "missing")):
            with pytest.raises(UserError):
                predict_files([path], tmp_path / "out", of, "cpu")
            assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("out", ["file", "file/below"])
    @pytest.mark.parametrize("force", [False, True])
    def test_a_file_in_its_place_is_a_sentence(self, tmp_path: Path, model: Path, out: str, force: bool) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(UserError, match=r"Expected to write .*file.*, found that it can't be done"):
            predict_files([put(tmp_path / "a.png")], tmp_path / out, model, "cpu", force)
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.parametrize("below", ["", "out"])
    def test_results_are_not_read_again(self, tmp_path: Path, model: Path, below: str) -> None:
        put(tmp_path / "in" / "a.png")
        put(tmp_path / "in" / "z" / "b.png")  # walked when there are restored pictures already
        out = tmp_path / "in" / below
        for _ in range(2):
            summary = predict_files([tmp_path / "in"], out, model, "cpu", force=True)
            assert (summary.num_pictures, summary.num_failed) == (2, 0)
        assert tree(out / "restored") == ["a.png", "z/b.png"]

    def test_to_ask_for_results_is_a_mistake(self, tmp_path: Path, model: Path) -> None:
        predict_files([put(tmp_path / "a.png")], tmp_path / "out", model, "cpu")
        before = (tmp_path / "out" / "restored" / "a.png").read_bytes()
        for mine in ("restored", "restored/a.png", "contact-sheet.png"):
            with pytest.raises(UserError, match=f"Expected pictures from outside of the results, found .*{mine}; "):
                predict_files([tmp_path / "out" / mine], tmp_path / "out", model, "cpu", force=True)
        with pytest.raises(UserError, match="found only the results of an earlier run"):
            predict_files([tmp_path / "out"], tmp_path / "out", model, "cpu", force=True)
        assert (tmp_path / "out" / "restored" / "a.png").read_bytes() == before


class TestPlaces:
    @staticmethod
    def of(*paths: Path) -> list[str]:
        return [str(position) for _, position in inputs(paths, [])]

    def test_one_folder_keeps_its_tree(self, tmp_path: Path) -> None:
        for name in ("a.png", "B.PNG", "c.jpg", "deep/er/a.png", "deep/a.webp"):
            put(tmp_path / name)
        assert self.of(tmp_path) == ["B.PNG", "a.png", "c.jpg.png", "deep/a.webp", "deep/er/a.png"]

    def test_several_folders_keep_their_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("x/in/a.png", "y/in/a.png", "y/b.png"):
            put(tmp_path / name)
        assert self.of(tmp_path / "x" / "in", tmp_path / "y" / "in", tmp_path / "y" / "b.png") == ["in/a.png", "in-2/a.png", "b.png"]
        monkeypatch.chdir(tmp_path / "x")
        assert self.of(Path(), Path("../y"), Path("..")) == [
            *("x/in/a.png", "y/b.png", "y/in/a.png"),
            *(f"{tmp_path.name}/{name}" for name in ("x/in/a.png", "y/b.png", "y/in/a.png")),
        ]

    def test_files_of_one_name_are_numbered(self, tmp_path: Path) -> None:
        paths = [put(tmp_path / name) for name in ("a-2.png", "x/a.png", "y/a.png", "z/A.png", "a.jpg")]
        positions = self.of(*paths, paths[1], paths[1])
        assert positions == ["a-2.png", "a.png", "a-3.png", "A-4.png", "a.jpg.png", "a-5.png", "a-6.png"]

    def test_no_two_names_in_a_folder_meet(self) -> None:
        stems = [f"a{first}{second}" for first in ("", ".png", ".jpg") for second in ("", ".jpg", ".PNG")]
        names = {f"{stem}{ending}" for stem in stems for ending in LISTED} | {"a", "a.12"}
        targets = {PurePosixPath(restored_name(name)) for name in names}
        assert len(targets) == len(names)
        assert len({mask_target(target) for target in targets}) == len(names)
        assert all(target.suffix.lower() in pictures.LOSSLESS | pictures.VIDEOS.keys() for target in targets)

    def test_no_file_is_lost_to_another(self, tmp_path: Path, model: Path) -> None:
        names = ["a.png", "a.jpg", "a.jpg.png", "a.jpg.png.png", "b.PNG", "c.tif", "c.tif.png"]
        for seed, name in enumerate(names):
            put(tmp_path / "in" / name, picture(9 + seed, 9, seed))
        predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu")
        for line in lines(tmp_path / "out"):
            assert pictures.read(tmp_path / "out" / line["restored"]).shape == pictures.read(Path(line["path"])).shape
        assert len(tree(tmp_path / "out" / "restored")) == len(names)

    def test_mistakes_are_found_before_any_work(self, tmp_path: Path, model: Path) -> None:
        for wrong in (tmp_path / "missing", tmp_path / "empty"):
            (tmp_path / "empty").mkdir(exist_ok=True)
            with pytest.raises(UserError, match=r"Expected .*pictures? .*; "):
                predict_files([put(tmp_path / "a.png"), wrong], tmp_path / "out", model, "cpu")
        assert not (tmp_path / "out").exists()


class TestSheet:
    @staticmethod
    def cells(*shapes: tuple[int, int], name: str = "name.png") -> list[sheet.Cell]:
        predictions = Predictor(Bright().eval(), CLASSES).predict([picture(*shape) for shape in shapes])
        return [
            sheet.build_cell(name, "cat 93 %", "", [picture(*shape), prediction.restored])
            for shape, prediction in zip(shapes, predictions, strict=True)
        ]

    @pytest.mark.parametrize("shape", [(1, 1), (32, 32), (95, 40), (96, 97), (192, 10), (1, 3000), (500, 333)])
    def test_pictures_are_readable_and_fit(self, shape: tuple[int, int]) -> None:
        shown = fit(picture(*shape), sheet.SIDE)
        assert 96 <= max(shown.shape[:2]) <= sheet.SIDE
        factor = shown.shape[0] // shape[0]
        if max(shape) <= sheet.SIDE:
            np.testing.assert_array_equal(shown, picture(*shape).repeat(factor, axis=0).repeat(factor, axis=1))

    def test_both_pictures_are_on_the_page(self) -> None:
        ((_, caption, damage, (given, restored)),) = cells = self.cells((96, 96))
        assert damage == ""
        page = sheet.draw_sheet(cells, "1 picture")
        assert caption.endswith(" %")
        for image in (given, restored):
            wanted = np.asarray(image)
            windows = np.lib.stride_tricks.sliding_window_view(page, (1, 192, 3))[:, :, 0, 0]
            assert (windows == wanted[:1]).all(axis=(2, 3)).any()
            assert (windows == wanted[-1:]).all(axis=(2, 3)).any()

    @pytest.mark.parametrize(
        ("probabilities", "strengths", "lost", "short"),
        [
            ((0.9, 0.9, 0.1), (0.0512, 8, 40), 12, "gaussian noise 0.051, 6 % lost"),
            ((0.9, 0.1, 0.9), (0.05, 8, 100), 0, "gaussian noise 0.05, jpeg 100"),
            ((0.1, 0.9, 0.1), (0.05, 8, 40), 0, "no damage found"),
            ((0.1, 0.1, 0.1), (0.05, 8, 40), 100, "50 % lost"),
        ],
    )
    def test_damage_in_short(self, probabilities: Any, strengths: Any, lost: int, short: str) -> None:
        actual = {
            kind: EstimatedDamage(probability=probability, strength=strength, unit="")
            for kind, probability, strength in zip(DAMAGES, probabilities, strengths, strict=True)
        }
        assert sheet.damage_words(actual, lost / 200) == short
        assert sheet.damage_words(None, lost / 200) == ""

    def test_damage_has_a_line_of_its_own(self) -> None:
        (plain,) = self.cells((96, 96))
        text = plain._replace(damage="gaussian noise 0.05")
        without, with_it = sheet.draw_sheet([plain], "1 picture"), sheet.draw_sheet([text], "1 picture")
        below = len(without) - sheet.MARGIN  # where the line without it would have left the margin
        assert (without[below:] == 255).all()
        assert (with_it[below : -sheet.MARGIN] < 200).any()

    @pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 24])
    def test_nothing_touches_the_edges(self, number: int) -> None:
        names = "W" * 255 + ".png"
        page = sheet.draw_sheet(self.cells(*[(20, 32), (200, 100), (7, 90)] * 8, name=names)[:number], "W" * 300)
        margin = sheet.MARGIN - 1
        assert (page[:margin] == 255).all()
        assert (page[-margin:] == 255).all()
        assert (page[:, :margin] == 255).all()
        assert (page[:, -margin:] == 255).all()
        assert page.min() < 60  # the heading at least

    @pytest.mark.parametrize("name", ["two\nlines.png", "\udcff.png", "кот.png", "猫.png", "", "\x00"])
    def test_any_name_can_be_drawn(self, name: str) -> None:
        assert sheet.draw_sheet(self.cells((8, 8), name=name), name).ndim == 3

    def test_long_names_lose_their_middle(self) -> None:
        face = sheet.font("", 15)
        short = sheet.shorten("holiday" * 20 + "_0001.jpg", 200, face)
        assert short.startswith("holiday")
        assert short.endswith("_0001.jpg")
        assert 150 < face.getlength(short) <= 200
        assert sheet.shorten("short.png", 200, face) == "short.png"

    def test_pictures_are_taken_from_all_over(self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[str] = []
        draw = sheet.draw_sheet

        def watched(cells: list[sheet.Cell], heading: str) -> NDArray[np.uint8]:
            shown.extend(cell.name for cell in cells)
            return draw(cells, heading)

        monkeypatch.setattr(sheet, "draw_sheet", watched)
        for number in range(60):
            put(tmp_path / "in" / f"{number:02}.png", picture(4, 4))
        (tmp_path / "in" / "00.png").write_bytes(b"")
        predict_files([tmp_path / "in"], tmp_path / "out", model, "cpu")
        numbers = [int(Path(name).stem) for name in shown]
        assert len(numbers) == sheet.MAX_CELLS
        assert numbers[0] == 1
        assert max(np.diff(numbers)) <= 3
        assert numbers[-1] >= 57


def test_pictures_in_the_root_of_a_drive_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Path("/x.png"), Path("/a/y.png")]
    monkeypatch.setattr("pellucid.pictures.find", lambda *_: iter(found))
    assert list(inputs([Path("/")], [])) == [(found[0], PurePosixPath("x.png")), (found[1], PurePosixPath("a/y.png"))]


def test_results_below_a_linked_folder_are_not_read_again(tmp_path: Path) -> None:
    for folder in ("elsewhere/out/restored", "in"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("elsewhere/x.png", "elsewhere/out/restored/x.png", "elsewhere/out/contact-sheet.png"):
        (tmp_path / name).touch()
    made = [tmp_path / "in" / "link" / "out" / name for name in ("restored", "contact-sheet.png")]
    assert list(inputs([tmp_path / "in"], made)) == [(tmp_path / "in" / "link" / "x.png", PurePosixPath("link/x.png"))]


def test_a_copy_of_the_predictions_is_no_part_of_them(tmp_path: Path) -> None:
    for name in ("predictions-old.jsonl", "predictions-0.jsonl", "predictions-12.jsonl"):
        (tmp_path / name).write_text(json.dumps({"path": name}) + "\n")
    journal.begin(tmp_path, {}, resume=True)
    assert [line["path"] for line in journal.read_lines(tmp_path / "predictions.jsonl")] == ["predictions-0.jsonl", "predictions-12.jsonl"]
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.jsonl", "predictions-old.jsonl"}
