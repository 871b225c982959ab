"""Pictures of one's own: what lies in folders and tables, the splits, the crops, and training on them."""

import json
import shutil
import sys
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid import files, pictures
from pellucid.cli import parse
from pellucid.data import Photos, load_own
from pellucid.data.duplicates import Fingerprint, difference_hash, groups_of_duplicates, near_duplicates
from pellucid.data.entries import Entry, list_entries
from pellucid.data.inspect import Findings, inspect
from pellucid.data.photos import prepare
from pellucid.degradations import SUITES
from pellucid.errors import UserError
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import evaluate
from pellucid.experiments.comparison import build_comparison
from pellucid.experiments.matrix import finished, plan, run_jobs
from pellucid.experiments.reuse import reuse
from pellucid.labels import UNLABELLED
from pellucid.loader import TrainLoader
from pellucid.recipe import DataConfig, Recipe, changed
from pellucid.run import run


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))


def write(path: Path, seed: int = 0, size: tuple[int, int] = (20, 30)) -> Path:
    """A picture of a few coloured patches, (height, width)."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    rows, columns = (np.arange(length) * count // length for length, count in zip(size, (4, 6), strict=True))
    pictures.write(path, patches[rows][:, columns])
    return path


def classes(folder: Path, names: str = "ab", num: int = 5) -> Path:
    for index, name in enumerate(names):
        for number in range(num):
            write(folder / name / f"{number}.png", 100 * index + number, (20 + number, 30))
    return folder


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    classes(tmp_path / "data")
    write(tmp_path / "data" / "unlabelled" / "x.png")
    write(tmp_path / "data" / "y.png")
    labels = {entry.path.relative_to(tmp_path / "data").as_posix(): entry.label for entry in list_entries(tmp_path / "data")}
    assert labels == {f"{name}/{n}.png": name for name in "ab" for n in range(5)} | {"unlabelled/x.png": None, "y.png": None}


def test_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        classes(tmp_path / split, num=2)
    splits = load_own(tmp_path, size=8)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (4, 4, 4)
    assert [part.split for part in (splits.train, splits.validation, splits.test)] == ["train", "validation", "test"]
    assert splits.train.classes == ("a", "b")
    shutil.rmtree(tmp_path / "test")
    splits = load_own(tmp_path, size=8)
    assert splits.validation is None
    assert splits.test.split == "validation"


@pytest.mark.parametrize("stray", ["unlabelled/x.png", "x.png", "testing/a/x.png"])
def test_pictures_beside_the_folders_of_splits_are_no_surprise(tmp_path: Path, stray: str) -> None:
    classes(tmp_path / "train", num=2)
    classes(tmp_path / "test", num=2)
    (tmp_path / "notes.txt").write_text("no picture")
    assert len(list_entries(tmp_path)) == 8
    write(tmp_path / stray)
    with pytest.raises(UserError, match=rf"Expected all pictures .* in its folders test and train, found others, such as .*{stray}; move"):
        list_entries(tmp_path)


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    classes(tmp_path / "data", ("test", "check"))
    assert {entry.label for entry in list_entries(tmp_path / "data")} == {"test", "check"}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_table(tmp_path: Path, ending: str) -> None:
    write(tmp_path / "pictures" / "a.png")
    rows = [{"path": "pictures/a.png", "label": "cat", "split": "train"}, {"path": "pictures/b.png", "label": "", "split": "val"}]
    table = tmp_path / f"table.{ending}"
    if ending == "csv":
        table.write_text("\ufeffpath,label,split\n" + "".join(f"{row['path']},{row['label']},{row['split']}\n" for row in rows))
    else:
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list_entries(table) == [
        Entry(tmp_path / "pictures/a.png", "cat", "train"),
        Entry(tmp_path / "pictures/b.png", None, "validation"),
    ]
    with pytest.raises(UserError, match=r"1 missing, such as .*b\.png"):
        load_own(table)


def test_spaces_after_the_commas_of_a_table_count_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text('path, label, split, group\na.png, "cat, tabby", test, one\n')
    assert list_entries(tmp_path / "table.csv") == [Entry(tmp_path / "a.png", "cat, tabby", "test", group="one")]


def test_separators_of_lines_within_cells_and_spaces_around_names_of_columns(tmp_path: Path) -> None:
    caption = "one\u2028two\x85three\x0cfour"
    (tmp_path / "table.csv").write_text(f'path ,label ,caption\r\na.png,cat,{caption}\r\n"b.png",dog,\r\n', encoding="utf-8", newline="")
    rows = [{"path": "a.png", "label": "cat", "caption": caption}, {"path": "b.png", "label": "dog"}, {"path": "c.png", "label": " "}]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "table.jsonl").write_text(lines, encoding="utf-8")
    entries = [Entry(tmp_path / "a.png", "cat"), Entry(tmp_path / "b.png", "dog")]
    assert list_entries(tmp_path / "table.csv") == entries
    assert list_entries(tmp_path / "table.jsonl") == [*entries, Entry(tmp_path / "c.png")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("table.csv", "file,label\nx.png,cat\n", "a path in line 2"),
        ("table.csv", "path,split\nx.png,later\n", "a split among train, .* found 'later'"),
        ("table.jsonl", '{"path": "x.png"\n', "can't be read"),
        ("table.csv", "", "Expected pictures"),
        ("table.xlsx", "", r"\.csv or \.jsonl"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=words):
        list_entries(tmp_path / name)


def test_without_a_test_set_one_fold_is_it_whatever_else_the_folder_has(tmp_path: Path) -> None:
    classes(tmp_path / "data", "abc", num=10)
    parts = [load_own(tmp_path / "data", size=8, fold=fold) for fold in range(5)]
    for splits in parts:
        assert np.bincount(splits.test.labels).tolist() == [2, 2, 2]
        assert np.bincount(splits.train.labels).tolist() == [8, 8, 8]
    tested = np.concatenate([splits.test.images[:] for splits in parts])
    assert len(np.unique(tested.reshape(30, -1), axis=0)) == 30  # each picture in one of them
    shutil.copytree(tmp_path / "data", tmp_path / "elsewhere" / "data")
    moved = load_own(tmp_path / "elsewhere" / "data", size=8)
    assert np.array_equal(moved.test.images[:], parts[0].test.images[:])
    with pytest.raises(UserError, match="a fold from 0 to 4, found 5"):
        load_own(tmp_path / "data", fold=5)


def test_the_first_pictures_are_of_all_classes(tmp_path: Path) -> None:
    splits = load_own(classes(tmp_path / "data", "abc", num=20), size=8)
    assert set(splits.train.labels[:12]) == set(splits.test.labels[:10]) == {0, 1, 2}


def test_duplicates_exact_and_near_are_in_one_fold(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data", "abc", num=10)
    for number in range(5):
        shutil.copy(folder / "a" / f"{number}.png", folder / "b" / f"copy{number}.png")
        pictures.write(folder / "c" / f"near{number}.jpg", pictures.read(folder / "a" / f"{number}.png"))
    originals = load_own(folder, size=8)
    for fold in range(5):
        splits = load_own(folder, size=24, fold=fold)
        tested, trained = (part.images[:].astype(int) for part in (splits.test, splits.train))
        assert np.abs(tested[:, None] - trained[None]).mean(axis=(2, 3, 4)).min() > 10
    assert len(originals.train) + len(originals.test) == 40


def test_a_share_is_held_out_by_groups_where_it_is_enough(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data", "ab", num=65)
    for number in range(0, 60, 3):
        shutil.copy(folder / "a" / f"{number}.png", folder / "a" / f"copy{number}.png")
    data = DataConfig(str(folder), size=8, validation_share=0.5)
    splits = data.splits()
    assert splits.validation is not None
    assert splits.validation.split == "validation"
    assert abs(len(splits.validation) - len(splits.train)) <= 4
    assert np.bincount(splits.validation.labels).min() >= 24
    apart = [{image.tobytes() for image in part.images[:]} for part in (splits.train, splits.validation, splits.test)]
    assert len(set.union(*apart)) == sum(map(len, apart))
    whole = replace(data, validation_share=0.0).splits()
    assert whole.validation is None
    assert np.array_equal(whole.test.images[:], splits.test.images[:])
    assert len(whole.train) == len(splits.train) + len(splits.validation)
    assert replace(data, validation_share=0.3).splits().validation is None  # fewer than 50: too few to fit on, enough to miss
    held = replace(data, validation=12).splits()  # a number goes before a share
    assert 8 <= len(held.validation) <= 16
    assert set(held.validation.groups).isdisjoint(held.train.groups)


def test_a_share_of_pictures_with_splits_of_their_own(tmp_path: Path) -> None:
    classes(tmp_path / "train", "ab", num=60)
    classes(tmp_path / "test", "ab", num=3)  # the same pictures as six of those, which are not held out
    splits = load_own(tmp_path, size=8, validation_share=0.5)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (63, 57, 6)
    classes(tmp_path / "val", "ab", num=2)
    assert len(load_own(tmp_path, size=8, validation_share=0.5).validation) == 4


def test_a_share_of_a_built_in_data_set() -> None:
    splits = DataConfig("shapes", validation_share=0.1, limit=1000).splits()
    assert (len(splits.train), len(splits.validation)) == (900, 100)
    assert DataConfig("shapes", validation_share=0.1, limit=400).splits().validation is None


def test_recipe_photo_holds_out_images_and_comparisons_none(tmp_path: Path) -> None:
    arguments = ["--recipe", "photo", "--data", str(tmp_path)]
    assert parse(["train", *arguments])[1]["recipe"].data.validation_share == 0.1
    assert parse(["compare", "reference", *arguments])[1]["recipe"].data.validation_share == 0
    assert parse(["compare", "reference", "--recipe", "everyday"])[1]["recipe"].data.validation == 0


def test_pictures_that_cannot_be_read_are_left_out_and_listed(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data")
    (folder / "a" / "bad.png").write_bytes(b"no picture")
    (folder / "b" / "cut.png").write_bytes((folder / "b" / "0.png").read_bytes()[:80])
    for _ in range(2):  # the second time from what was kept
        splits = load_own(folder, size=8)
        assert len(splits.train) + len(splits.test) == 10
        assert len(splits.skipped) == 2
        assert any("bad.png" in reason for reason in splits.skipped)


def test_images_are_the_centre_resized(tmp_path: Path) -> None:
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, 8:24] = (10, 200, 30)
    pictures.write(tmp_path / "a.png", picture)
    photos, *_ = prepare([tmp_path / "a.png"], 8)
    assert photos.shape == (1, 8, 8, 3)
    assert (photos[[0]] == (10, 200, 30)).all()


def test_random_crops_have_the_area_that_is_asked_for_and_lie_anywhere(tmp_path: Path) -> None:
    ramp = np.zeros((60, 90, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(60)[:, None], np.arange(90)
    pictures.write(tmp_path / "a.png", ramp)
    photos, *_ = prepare([tmp_path / "a.png"], 30, min_area=0.25)
    assert photos.picture(0).shape == (60, 90, 3)  # what the smallest crop needs
    crops = photos.random_crops(np.zeros(200, np.int64), np.random.default_rng(0).random((200, 4))).astype(int)
    assert crops.shape == (200, 30, 30, 3)
    heights, widths = (np.ptp(crops[..., channel], axis=(1, 2)) + 2 for channel in (0, 1))
    areas = heights * widths / (60 * 90)
    assert 0.2 < areas.min() < 0.35
    assert 0.8 < areas.max() <= 1.05
    assert crops[..., 0].min() < 5
    assert crops[..., 0].max() > 55
    assert photos.random_crops(np.zeros(1, np.int64), np.zeros((1, 4))).shape == (1, 30, 30, 3)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", 0)
    before, *_ = prepare([path], 8)
    write(path, 1)
    after, *_ = prepare([path], 8)
    assert not np.array_equal(before[[0]], after[[0]])


def loader_of(dataset, **settings) -> TrainLoader:
    return TrainLoader(dataset, SUITES["reference"], batch_size=3, seed=0, flip="random", **settings)


def test_a_failed_picture_is_tried_again_and_a_complete_cache_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dicom = pytest.importorskip("pydicom.data")
    paths = [write(tmp_path / "data" / "a.png"), Path(dicom.get_testdata_file("MR_small.dcm"))]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pydicom", None)
        assert "pellucid[dicom]" in prepare(paths, 8)[2][1]
    photos, _, failures = prepare(paths, 8)
    assert (len(photos), failures) == (2, {})
    with files.locked(tmp_path / "home" / "photos"):
        monkeypatch.setattr(files, "locked", None)
        assert len(prepare(paths, 8)[0]) == 2


def test_an_epoch_can_be_entered_anywhere_and_epochs_differ(tmp_path: Path) -> None:
    dataset = load_own(classes(tmp_path / "data"), size=16, min_area=0.5).train
    whole, rest, next_epoch = (list(loader_of(dataset).epoch(*at)) for at in ((0,), (0, 1), (1,)))
    assert len(whole) == 2
    assert torch.equal(whole[1].degraded, rest[0].degraded)
    assert torch.equal(whole[1].clean, rest[0].clean)
    by_image = [{tuple(image.flatten().tolist()) for batch in epoch for image in batch.clean} for epoch in (whole, next_epoch)]
    assert not by_image[0] & by_image[1]
    shifted = next(loader_of(dataset, crop=2).epoch(0))
    assert not torch.equal(shifted.clean, whole[0].clean)
    assert (shifted.clean - whole[0].clean).abs().mean() < (whole[1].clean - whole[0].clean).abs().mean()


def pairs(folder: Path) -> Path:
    """Damaged versions are half as bright."""
    for name in "ab":
        for number in range(5):
            path = write(folder / "clean" / name / f"{number}.png", number, (16 + number, 24))
            pictures.write(folder / "damaged" / name / f"{number}.jpg", pictures.read(path) // 2)
    return folder


def test_pairs_have_the_same_crops_and_flips(tmp_path: Path) -> None:
    splits = load_own(pairs(tmp_path / "data"), size=12, min_area=0.5)
    assert (len(splits.train), len(splits.test)) == (8, 2)
    for batch in TrainLoader(splits.train, SUITES["none"], batch_size=4, seed=0, flip="random").epoch(0):
        assert (batch.clean / 2 - batch.degraded).abs().mean() < 0.05
        assert (batch.clean / 2 - batch.degraded.flip(3)).abs().mean() > 0.06


def test_pairs_of_other_names_or_sizes_are_refused(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "data")
    pictures.write(folder / "damaged" / "a" / "0.jpg", np.zeros((9, 24, 3), np.uint8))
    with pytest.raises(UserError, match=r"1 of another, such as that of .*a/0\.png"):
        load_own(folder, size=8)
    (folder / "damaged" / "a" / "0.jpg").unlink()
    with pytest.raises(UserError, match=r"a damaged version of .*a/0\.png"):
        load_own(folder, size=8)


def test_pairs_whose_16_bits_have_other_scales_are_refused(tmp_path: Path) -> None:
    for number in range(5):
        values = np.random.default_rng(number).integers(0, 4090, (24, 24, 3)).astype(np.uint16)
        values[0, 0] = 4090
        for part, pixels in (("clean", values), ("damaged", values + 10 * (number == 3))):
            (tmp_path / part).mkdir(exist_ok=True)
            pictures.write(tmp_path / part / f"{number}.png", pictures.Picture(pixels))
    with pytest.raises(UserError, match=r"found 1 that seem to have different ones, such as .*clean/3\.png"):
        load_own(tmp_path, size=8)
    (tmp_path / "damaged" / "3.png").write_bytes((tmp_path / "clean" / "3.png").read_bytes())
    assert len(load_own(tmp_path, size=8).train) == 4


def test_folders_of_classes_may_be_links_and_links_in_circles_end(tmp_path: Path) -> None:
    classes(tmp_path / "elsewhere", "ab", num=3)
    (tmp_path / "data").mkdir()
    for name in "ab":
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "elsewhere" / "a" / "back").symlink_to(tmp_path / "data")
    assert Counter(entry.label for entry in list_entries(tmp_path / "data")) == {"a": 3, "b": 3}


def test_pairs_are_found_by_whole_names_first(tmp_path: Path) -> None:
    names = ["a.jpg", "a.png", "b.png", "1.2.3", "1.2.4"]  # the last ones as DICOM files are named
    for part in ("clean", "damaged"):
        for number, name in enumerate(names[:2]):
            write(tmp_path / part / name, number)
        for name in names[3:]:
            (tmp_path / part / name).write_bytes(bytes(128) + b"DICM")
    write(tmp_path / "clean" / "b.png")
    write(tmp_path / "damaged" / "b.jpg")
    pairs = {entry.path.name: entry.damaged.name for entry in list_entries(tmp_path) if entry.damaged}
    assert pairs == {name: name for name in names} | {"b.png": "b.jpg"}
    write(tmp_path / "damaged" / "b.webp")
    with pytest.raises(UserError, match=r"a damaged version of .*b\.png in .*, found 2"):
        list_entries(tmp_path)
    (tmp_path / "damaged" / "b.webp").unlink()
    (tmp_path / "damaged" / "1.2.4").rename(tmp_path / "damaged" / "1.2.5")
    with pytest.raises(UserError, match=r"a damaged version of .*1\.2\.4 in .*, found none"):
        list_entries(tmp_path)


def test_a_joint_model_is_trained_on_a_folder_and_measured_on_its_test_part(tiny: Recipe, tmp_path: Path) -> None:
    data = DataConfig(str(classes(tmp_path / "data", num=6)), size=16, min_area=0.5)
    recipe = replace(tiny, data=data, training=replace(tiny.training, epochs=1, batch_size=4))
    network, metadata = run(recipe, tmp_path / "run", device="cpu")
    assert metadata.classes == ("a", "b")
    test = data.splits().test
    evaluation = evaluate(network, test, TRACKS["reference"], damages=metadata.damages)
    assert evaluation.images == "3 test images of data"
    assert evaluation.metrics["psnr"] > 5


def test_a_restorer_learns_from_pairs_without_classes(tiny: Recipe, tmp_path: Path) -> None:
    folder = pairs(tmp_path / "data")
    for part in ("clean", "damaged"):
        for path in (folder / part).glob("*/*"):
            path.rename(folder / part / f"{path.parent.name}{path.name}")
        for name in "ab":
            (folder / part / name).rmdir()
    data = DataConfig(str(folder), size=16)
    assert data.splits().train.labels.tolist() == [UNLABELLED] * 8
    training = replace(tiny.training, epochs=40, batch_size=8)
    recipe = replace(tiny, data=data, damage="none", model=replace(tiny.model, tasks="restore", damage_head=True), training=training)
    with pytest.raises(UserError, match=r"two classes at least, found 0.*--model\.tasks restore"):
        run(replace(recipe, model=tiny.model), tmp_path / "no", device="cpu")
    with pytest.raises(UserError, match=r"no other damage with pairs .*'reference'; add --damage none"):
        run(replace(recipe, damage="reference"), tmp_path / "no", device="cpu")
    network, _ = run(recipe, tmp_path / "run", device="cpu")
    metrics = evaluate(network, data.splits().test, TRACKS["pairs"]).metrics
    assert metrics["psnr"] > metrics["input_psnr"] + 3
    with pytest.raises(UserError, match="damaged versions of its images"):
        evaluate(network, DataConfig("shapes").splits().test, TRACKS["pairs"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dataset": "shapes", "size": 64}, r"data\.size with pictures of your own only, found it with shapes"),
        ({"dataset": "shapes", "fold": 1}, r"data\.fold"),
        ({"dataset": "nowhere"}, "a folder of pictures, found 'nowhere'"),
        ({"dataset": "nowhere", "size": 64, "folds": 2}, "a folder of pictures, found 'nowhere'"),
    ],
)
def test_settings_without_effect_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        DataConfig(**settings).splits()


def test_a_source_of_own_pictures_is_refused(tmp_path: Path) -> None:
    folder = classes(tmp_path / "data", num=5)
    with pytest.raises(UserError, match=r"data\.source with a built-in data set only, found it with .*data; leave it out"):
        DataConfig(str(folder), source=tmp_path, size=8).splits()


def test_a_restorer_without_effect_is_refused(tiny: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no restorer with the architecture 'joint', found .*; leave --restorer out"):
        run(tiny, tmp_path / "run", device="cpu", restorer=tmp_path)


def test_data_with_validation_images_of_their_own_keep_them(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        classes(tmp_path / split, num=2)
    assert len(DataConfig(str(tmp_path), size=8).splits().validation) == 4
    with pytest.raises(UserError, match="validation images of their own"):
        DataConfig(str(tmp_path), size=8, validation=2).splits()


def test_inspection_counts_and_finds_duplicates_across_splits(tmp_path: Path) -> None:
    classes(tmp_path / "train", num=4)
    write(tmp_path / "test" / "a" / "other.png", 7000, (64, 64))
    shutil.copy(tmp_path / "train" / "a" / "1.png", tmp_path / "test" / "a" / "copy.png")
    nearly = pictures.read(tmp_path / "train" / "b" / "2.png")
    pictures.write(tmp_path / "test" / "b" / "near.jpg", nearly)
    (tmp_path / "train" / "a" / "bad.png").write_bytes(b"no picture")
    findings = inspect(tmp_path)
    assert findings.counts == {"train": {"a": 4, "b": 4}, "test": {"a": 2, "b": 1}}
    assert [path.name for path in findings.unreadable] == ["bad.png"]
    assert [{entry.path.name for entry in group} for group in findings.exact] == [{"1.png", "copy.png"}]
    assert ({"2.png", "near.jpg"}) in [{entry.path.name for entry in pair} for pair in findings.near]
    text = "\n".join(findings.lines())
    for words in ("train: 8 pictures: a 4, b 4", "unreadable: 1", "exact duplicates: 1", "in different splits", "from 30 x 20 to 64 x 64"):
        assert words in text


def test_inspection_lists_all_unreadable_files_and_some_duplicates() -> None:
    entries = [Entry(Path(f"{number}.png")) for number in range(40)]
    pairs_of_them = [entries[number : number + 2] for number in range(0, 40, 2)]
    lines = Findings(entries, [(1, 1)] * 40, {Path(f"bad{number}.png"): "cut" for number in range(25)}, [], pairs_of_them).lines()
    assert sum("bad" in line for line in lines) == 25
    assert sum(" = " in line for line in lines) == 10
    assert "  and 10 more" in lines


def test_inspection_looks_at_damaged_versions(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "data")
    (folder / "damaged" / "a" / "1.jpg").write_bytes(b"no picture")
    pictures.write(folder / "damaged" / "b" / "2.jpg", np.zeros((9, 24, 3), np.uint8))
    findings = inspect(folder)
    assert list(findings.unreadable) == [folder / "damaged" / "a" / "1.jpg"]
    assert [entry.path.name for entry in findings.entries if entry.label == "a"] == ["0.png", "2.png", "3.png", "4.png"]
    text = "\n".join(findings.lines())
    assert "9 of them with a damaged version" in text
    assert "damaged versions of another size: 1" in text
    assert str(folder / "damaged" / "b" / "2.jpg") in text


def test_difference_hashes_of_an_image_and_of_a_smaller_one_are_close() -> None:
    gradient = np.add.outer(np.sin(np.arange(90) / 9), np.cos(np.arange(120) / 14))
    picture = np.repeat(((gradient + 2) * 63).astype(np.uint8)[..., None], 3, axis=2)
    one, other = difference_hash(picture), difference_hash(picture[::2, ::2])
    assert (one ^ other).bit_count() <= 3
    assert (one ^ difference_hash(picture[:, ::-1])).bit_count() > 20


def test_photos_are_indexed_like_an_array(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.png", number) for number in range(4)]
    photos, fingerprints, failures = prepare(paths, 8)
    assert isinstance(photos, Photos)
    assert not failures
    assert len({its.digest for its in fingerprints}) == 4
    assert np.array_equal(photos[1:3], np.stack([photos[[1]][0], photos[[2]][0]]))
    assert np.array_equal(photos.take(np.array([3, 0]))[:], photos[[3, 0]])


def test_pictures_on_a_black_background_are_compared_in_little_memory() -> None:
    generator = np.random.default_rng(0)
    thumbnails = generator.integers(0, 256, (800, 24, 24), np.uint8)
    thumbnails[-1] = thumbnails[0] // 2
    hashes = generator.integers(0, 2**47, 800) << 16  # a row of the hash is black in all of them
    hashes[-1] = hashes[0] ^ 1
    prints = [Fingerprint(str(number), int(hashes[number]), thumbnails[number]) for number in range(800)]
    tracemalloc.start()
    try:
        assert near_duplicates(prints) == [(0, 799)]
        assert tracemalloc.get_traced_memory()[1] < 10e6  # 320,000 pairs of tuples take 30 MB
    finally:
        tracemalloc.stop()


def test_pictures_that_are_all_alike_are_connected_by_few_pairs() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (24, 24), np.uint8)
    others = [np.roll(thumbnails, 5)] * 3
    prints = [Fingerprint(str(number), 7, each) for number, each in enumerate([thumbnails] * 2000 + others)]
    tracemalloc.start()
    try:
        pairs = near_duplicates(prints)
        assert len(pairs) == 1999 + 2
        assert tracemalloc.get_traced_memory()[1] < 50e6  # all pairs take 200 MB
    finally:
        tracemalloc.stop()
    groups = groups_of_duplicates(prints)
    assert len(set(groups[:2000])) == 1
    assert len(set(groups[2000:])) == 1
    assert len(set(groups)) == 2


def test_a_start_that_was_trained_on_a_copy_of_the_pictures_is_refused(tiny: Recipe, tmp_path: Path) -> None:
    classes(tmp_path / "photos", "ab", num=20)
    shutil.copytree(tmp_path / "photos", tmp_path / "copy")
    recipe = changed(tiny, {"data.dataset": str(tmp_path / "photos"), "data.size": 16, "data.limit": 0, "training.epochs": 0.1})
    run(recipe, tmp_path / "first", device="cpu")
    copied = {"data.dataset": str(tmp_path / "copy"), "training.start": str(tmp_path / "first")}
    run(changed(recipe, copied), tmp_path / "second", device="cpu")
    with pytest.raises(UserError, match=r"not trained on the images held out here, found one with data\.fold 0 instead of 1"):
        run(changed(recipe, copied | {"data.fold": 1}), tmp_path / "third", device="cpu")


def test_runs_are_not_gone_on_with_on_other_pictures(tiny: Recipe, tmp_path: Path) -> None:
    folder = classes(tmp_path / "photos", "ab", num=20)
    recipe = changed(tiny, {"data.dataset": str(folder), "data.size": 16, "data.limit": 0, "training.epochs": 1.0})
    comparison = build_comparison("reference", recipe).only(["classify"])
    run(comparison.recipe("classify", 0), tmp_path / "run", device="cpu")
    jobs = plan(comparison, [0], tmp_path / "out")
    run_jobs(jobs, device="cpu")
    assert finished(jobs[0])
    plan(comparison, [0], tmp_path / "out")
    shutil.copy(tmp_path / "photos" / "a" / "0.png", tmp_path / "kept.png")
    (folder / "a" / "0.png").unlink()
    changes = "found that some were added, removed or changed"
    with pytest.raises(UserError, match=rf"pictures that a run in .*out was trained with, {changes}"):
        plan(comparison, [0], tmp_path / "out")
    with pytest.raises(UserError, match=rf"pictures that .*run was trained with, {changes}"):  # its test pictures are others now
        run(comparison.recipe("classify", 0), tmp_path / "run", resume=True, device="cpu")
    start = changed(comparison.recipe("classify", 0), {"training.start": str(tmp_path / "run")})
    with pytest.raises(UserError, match=rf"pictures that .*run was trained with, {changes}.*; restore them, or train from the start"):
        run(start, tmp_path / "second", device="cpu")
    shutil.rmtree(tmp_path / "run" / "model")  # as if it had been stopped before its end
    with pytest.raises(UserError, match=r"pictures that the run of .*state\.ckpt was started with, found that some were added, removed"):
        run(comparison.recipe("classify", 0), tmp_path / "run", resume=True, device="cpu")
    again = plan(comparison, [0], tmp_path / "again")
    assert reuse(again, [tmp_path / "out"]) == 0
    shutil.copy(tmp_path / "kept.png", folder / "a" / "zero.png")  # the same picture by another name
    assert reuse(again, [tmp_path / "out"]) == 1
