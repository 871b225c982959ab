"""`pellucid damage` shows what it drew, and refuses what it can't use."""

from pathlib import Path

import numpy as np
import pytest

from pellucid import pictures
from pellucid.cli import main
from pellucid.damage import CELL_SIDE, damage_caption, damage_files
from pellucid.degradations import SUITES, Pipeline, Step
from pellucid.errors import UserError
from pellucid.inference.sheet import GAP, MARGIN
from pellucid.pictures.display import shrink
from pellucid.seeding import generator


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    pictures.write(path, np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))
    return path


def test_the_original_comes_first_and_damage_after_it(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid.png"
    sentence = damage_files([picture, picture], "reference", out, draws=3)
    assert sentence == f"Suite 'reference' on 2 pictures: look at {out}."
    page = pictures.read(out)
    assert page.shape[1] == 2 * MARGIN + 4 * CELL_SIDE + 3 * GAP
    factor = CELL_SIDE // 30
    original = pictures.read(picture).repeat(factor, axis=0).repeat(factor, axis=1)
    rows = np.lib.stride_tricks.sliding_window_view(page[:, MARGIN], original.shape[0], axis=0).transpose(0, 2, 1)
    (first, second) = np.flatnonzero((rows == original[:, 0]).all(axis=(1, 2)))
    assert first < second
    lefts = range(MARGIN, MARGIN + 4 * (CELL_SIDE + GAP), CELL_SIDE + GAP)
    cells = [page[first : first + original.shape[0], left : left + original.shape[1]] for left in lefts]
    assert np.array_equal(cells[0], original)
    assert len({cell.tobytes() for cell in cells}) == 4
    assert all((cell == 128).all(axis=2).sum() == (8 * factor) ** 2 for cell in cells[1:])  # the square of `reference`


def test_the_seed_decides_and_force_replaces(picture: Path, tmp_path: Path) -> None:
    one, same, other = (tmp_path / f"{name}.png" for name in ("one", "same", "other"))
    for out, seed in ((one, 0), (same, 0), (other, 1)):
        damage_files([picture], "driving", out, seed, draws=2)
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()
    damage_files([picture], "driving", one, 1, draws=2, force=True)
    assert one.read_bytes() == other.read_bytes()


def test_the_grid_has_the_first_pictures_of_many(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.damage.MAX_ROWS", 2)
    sentence = damage_files([picture] * 3, "reference", tmp_path / "two.png", draws=1)
    assert sentence == f"Suite 'reference' on the first 2 pictures: look at {tmp_path / 'two.png'}."
    sentence = damage_files([picture] * 3, "reference", tmp_path / "same.png", draws=1, save=tmp_path / "all")
    assert sentence.endswith(f"and at the 3 files in {tmp_path / 'all'}.")
    assert len(list((tmp_path / "all").iterdir())) == 3
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "same.png").read_bytes()
    monkeypatch.setattr("pellucid.damage.MAX_DRAWS", 1)
    damage_files([picture] * 2, "reference", tmp_path / "one.png", draws=3, save=tmp_path / "six")
    assert len(list((tmp_path / "six").iterdir())) == 6
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "one.png").read_bytes()


def test_captions_name_kind_strength_and_lost_pixels() -> None:
    import torch

    images = torch.zeros(1, 3, 40, 40)
    steps = (Step("low_dose", 420), Step("motion_blur", 0.1, relative=True), Step("snow_c", 2.5), Step("occlusion", 20))
    _, record = Pipeline(steps)(images, generator("captions"))
    assert damage_caption(record) == "low dose 420, motion blur 4 pixels, snow severity 2.5, occlusion 20 pixels, 25 % lost"
    assert damage_caption(SUITES["none"](images, generator("captions"))[1]) == "no damage"


def test_large_pictures_are_shrunk_to_a_cell() -> None:
    assert shrink(np.zeros((1000, 30, 3), np.uint8), CELL_SIDE).shape == (CELL_SIDE, 8, 3)
    assert shrink(np.zeros((20, CELL_SIDE, 3), np.uint8), CELL_SIDE).shape == (20, CELL_SIDE, 3)


def test_the_command(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["damage", str(picture), "--suite", "art", "--out", str(tmp_path / "new" / "grid.png"), "--seed", "3"])
    assert "look at" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["damage", str(picture), "--suite", "arts", "--out", str(tmp_path / "g.png")])
    assert stopped.value.code == 2
    assert "did you mean art" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"suite": "arts"}, "Expected a damage suite among none, .*, found 'arts'; choose"),
        ({"draws": 0}, "Expected at least 1 draw, found 0"),
        ({"out": "grid.txt"}, "Expected a picture's name to write the grid to, such as grid.png, found .*grid.txt"),
        ({"out": "picture.png"}, "Expected a new file for the grid, found .*picture.png; choose another name, or --force"),
        ({"out": "folder.png", "force": True}, "Expected a new file for the grid, found .*folder.png"),
        ({"paths": "missing.png"}, "Expected a picture or a folder at .*missing.png, found nothing there"),
        ({"paths": "text.png"}, "Expected a picture .* in .*text.png, found nothing that can be read as one"),
    ],
)
def test_what_it_refuses(picture: Path, tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    named = {name: tmp_path / str(value) if name in ("out", "paths") else value for name, value in change.items()}
    settings: dict[str, object] = {"suite": "art", "out": tmp_path / "grid.png"} | named
    paths = [settings.pop("paths", picture)]
    with pytest.raises(UserError, match=sentence):
        damage_files(paths, **settings)
    assert not (tmp_path / "grid.png").exists()


def test_damaged_versions_are_kept_at_full_size(tmp_path: Path) -> None:
    grey = np.random.default_rng(1).integers(0, 255, (CELL_SIDE + 40, CELL_SIDE + 90, 1), dtype=np.uint8).repeat(3, axis=2)
    pictures.write(tmp_path / "scan.png", grey)
    settings = {"suite": "medical", "draws": 3, "save": tmp_path / "damaged"}
    told = damage_files([tmp_path / "scan.png"], out=tmp_path / "grid.png", **settings)
    assert told.endswith(f"grid.png, and at the 3 files in {tmp_path / 'damaged'}.")
    files = sorted((tmp_path / "damaged").iterdir())
    assert [file.name for file in files] == ["1-scan-1.png", "1-scan-2.png", "1-scan-3.png"]
    kept = [pictures.read(file) for file in files]
    assert {picture.shape for picture in kept} == {grey.shape}
    assert len({picture.tobytes() for picture in [grey, *kept]}) > 1
    assert all((np.ptp(picture, axis=2) == 0).all() for picture in kept)  # grey stays grey
    with pytest.raises(UserError, match=r"Expected a new or empty folder for the damaged pictures, found .*damaged; choose another name"):
        damage_files([tmp_path / "scan.png"], out=tmp_path / "other.png", **settings)
    damage_files([tmp_path / "scan.png"], out=tmp_path / "other.png", force=True, **settings)
