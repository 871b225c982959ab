"""Recipes: what they are, how they print, and how YAML and flags change them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_own_data import classes

from pellucid.cli import parse
from pellucid.degradations import SUITES
from pellucid.errors import UserError
from pellucid.recipe import RECIPES, DataConfig, Recipe, changed, completed, differences, measured_splits, settings


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_reads_back_from_its_own_settings(name: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(settings(RECIPES[name])))
    command, values = parse(["train", "--config", str(file)])
    assert command == "train"
    assert values["recipe"] == RECIPES[name]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_its_name_on_the_command_line(name: str) -> None:
    _, values = parse(["train", "--recipe", name])
    assert values["recipe"] == RECIPES[name]
    assert values["out"] == Path("runs") / name


@pytest.mark.parametrize("name", RECIPES)
def test_the_printed_configuration_reads_back(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["train", "--recipe", name, "--training.seed", "7", "--print_config"])
    assert stopped.value.code == 0
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    _, values = parse(["train", "--config", str(file)])
    assert values["recipe"] == replace(RECIPES[name], training=replace(RECIPES[name].training, seed=7))


def test_flags_go_over_yaml_and_yaml_over_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: base\ntraining: {epochs: 2, batch_size: 32}\n")
    _, values = parse(["train", "--config", str(file), "--training.batch_size", "64", "--max-minutes", "3"])
    recipe, base = values["recipe"], RECIPES["base"]
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.max_minutes) == (2, 64, 3)
    assert recipe.model == base.model
    assert recipe.training == replace(base.training, epochs=2, batch_size=64, max_minutes=3)


def test_flags_go_over_short_names_in_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["train", "--recipe", "base", "--epochs", "2", "--print_config"])
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    for flags, epochs in (([], 2), (["--training.epochs", "8"], 8), (["--epochs=9"], 9), (["--training.epochs", "8", "--epochs", "9"], 9)):
        assert parse(["train", "--config", str(file), *flags])[1]["recipe"].training.epochs == epochs


def test_a_pipeline_of_one_s_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("damage: {steps: [{name: gaussian_noise, low: 0.1, high: 0.2, probability: 0.5}], at_most: 1}\n")
    _, values = parse(["train", "--config", str(file)])
    (step,) = values["recipe"].pipeline.steps
    assert (step.name, step.low, step.high, step.probability) == ("gaussian_noise", 0.1, 0.2, 0.5)


def test_the_paper_s_recipe_is_the_paper_s() -> None:
    paper = RECIPES["paper"]
    assert paper.model.architecture == "paper-listing"
    assert (paper.training.optimizer, paper.training.learning_rate) == ("adam", 1e-4)
    assert (paper.objective.weight, paper.objective.restoration) == (0.1, "l1")


def test_differences_name_what_changed() -> None:
    changed = replace(RECIPES["quick"], damage="mixed", training=replace(RECIPES["quick"].training, seed=3))
    assert differences(settings(RECIPES["quick"]), settings(changed)) == ["damage: reference -> mixed", "training.seed: 0 -> 3"]
    assert differences(settings(changed), settings(changed)) == []


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(UserError, match="mixed"):
        Recipe(damage="nope")
    with pytest.raises(UserError, match="validation"):
        DataConfig(validation=-1)
    with pytest.raises(UserError, match=r"Expected a damage suite among .*, found 3; choose"):
        Recipe(damage=3)
    with pytest.raises(UserError, match="Expected settings by their names under data, such as dataset, found 'cifar10'"):
        Recipe(data="cifar10")


def test_the_help_names_every_suite() -> None:
    listed = Recipe.__doc__.partition("damage: a suite of degradations: ")[2].partition(". In a file")[0]
    assert set(listed.replace(" or ", ", ").split(", ")) == set(SUITES)


def test_settings_of_an_older_version_are_completed_by_what_was_done_before_they_existed() -> None:
    recipe = RECIPES["photo"]
    older = settings(recipe)
    del older["data"]["validation_share"]
    assert completed(older)["data"] == settings(recipe)["data"] | {"validation_share": 0.0}
    assert completed(settings(recipe)) == settings(recipe)
    del older["training"]["schedule"]  # an old run without it was not trained with today's default
    assert differences(completed(older), settings(recipe)) == ["data.validation_share: 0.0 -> 0.1", "training.schedule: None -> cosine"]


@pytest.mark.parametrize("spelling", [None, "photos", "photos/", "./photos", "{here}/photos"])
def test_the_test_part_of_a_run_is_its_own_however_the_folder_is_spelled(
    spelling: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = classes(Path("photos"), "abc", num=8)
    recipe = changed(RECIPES["photo"], {"data.dataset": "photos", "data.fold": 2, "data.folds": 4, "data.size": 16})
    trained = recipe.data.splits()
    told = settings(recipe), 16, trained.digest
    test = measured_splits(*told, spelling and spelling.format(here=tmp_path)).test
    assert np.array_equal(test.images[:], trained.test.images[:])
    shutil.copytree("photos", "moved")
    assert np.array_equal(measured_splits(*told, "moved").test.images[:], trained.test.images[:])

    (data / "a" / "0.png").unlink()
    with pytest.raises(UserError, match=r"found that some were added, removed or changed since: test pictures may be training pictures"):
        measured_splits(*told, spelling and spelling.format(here=tmp_path))
    assert measured_splits(settings(recipe), 16, "").test is not None  # of a model that does not say what it was trained with
    others = measured_splits(settings(RECIPES["base"]), 24, "", "moved").test
    assert others.size == (24, 24)  # that of the training images
    assert len(others) == 5  # the first part of five
    assert measured_splits(told[0], 16, told[2], "shapes").test.name == "shapes"
