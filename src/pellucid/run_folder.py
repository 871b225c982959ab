"""The files in the folders of runs and comparisons, and the checks that a folder is new, or is resumed."""

import json
from pathlib import Path
from typing import Any

from pellucid.errors import UserError
from pellucid.files import LOCK
from pellucid.recipe import Recipe, as_started, completed, differences, settings

RECIPE, STATE, LOG, MODEL = "recipe.json", "state.ckpt", "log.jsonl", "model"

RUNS = "runs"
"""Folder of the runs of a comparison, in its folder, or in each of those of its folds or values."""


def claim(folder: Path, recipe: Recipe, resume: bool) -> Recipe:
    """Check that the folder is new, or holds a run of the same recipe to resume; returns the recipe with the precision of that run."""
    if resume and (folder / RECIPE).exists():
        older = read_recipe(folder)
        recipe = as_started(recipe, older)
        if changed := differences(older, settings(recipe)):
            raise UserError(
                f"Expected the recipe that {folder} was started with, found changes ({'; '.join(changed)}); resume with the same settings, "
                "or train in a new folder."
            )
    else:
        _check_new(folder, "run", resume)
    return recipe


def read_recipe(folder: Path) -> dict[str, Any]:
    """The settings that the run in a folder was started with."""
    try:
        started = completed(json.loads((folder / RECIPE).read_bytes()))
        if not isinstance(started["training"]["precision"], str):
            raise TypeError("Expected a name as precision.")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, LookupError, TypeError) as error:
        raise UserError(
            f"Expected the recipe of a run in {folder / RECIPE}, found a file that can't be read; remove the folder."
        ) from error
    return started


def claim_comparison(folder: Path, resume: bool, prefix: str = "") -> None:
    """Check that the folder is new, or holds runs of a comparison to resume; the recipes of the runs are checked when they are planned.

    prefix: of the names of its subfolders with runs, such as those of the folds. A comparison of another kind is not resumed, since its
    report would be replaced.
    """
    folders = [each for each in folder.glob("*") if each.name.startswith(prefix)] if prefix else [folder]
    if not (resume and any((each / RUNS).is_dir() for each in folders)):
        _check_new(folder, "comparison", resume)


def _check_new(folder: Path, purpose: str, resume: bool) -> None:
    # Of several processes, only the first one creates it.
    if folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
        advice = f"there is no {purpose} in it to resume" if resume else "go on with it by --resume"
        raise UserError(
            f"Expected a new or empty folder for the {purpose}, found {folder} with files in it; {advice}, or choose another one."
        )
