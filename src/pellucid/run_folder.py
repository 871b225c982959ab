"""The files in the folder of a run, and the check that a recipe matches the run."""

import json
from pathlib import Path

from pellucid.errors import UserError
from pellucid.files import LOCK
from pellucid.recipe import Recipe, as_started, completed, differences, settings

RECIPE, STATE, LOG, MODEL = "recipe.json", "state.ckpt", "log.jsonl", "model"


def claim(folder: Path, recipe: Recipe, resume: bool) -> Recipe:
    """Check that the folder is new, or holds a run of the same recipe to resume; returns the recipe with the precision of that run."""
    if resume and (folder / RECIPE).exists():
        try:
            older = completed(json.loads((folder / RECIPE).read_text()))
            recipe = as_started(recipe, older)
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, LookupError, TypeError) as error:
            raise UserError(
                f"Expected the recipe of a run in {folder / RECIPE}, found a file that can't be read; remove the folder."
            ) from error
        if changed := differences(older, settings(recipe)):
            raise UserError(
                f"Expected the recipe that {folder} was started with, found changes ({'; '.join(changed)}); resume with the same settings, "
                "or train in a new folder."
            )
    elif any(path.name != LOCK for path in folder.iterdir()):
        advice = "there is no run in it to resume" if resume else "go on with it by --resume"
        raise UserError(f"Expected a new or empty folder for the run, found {folder} with files in it; {advice}, or choose another one.")
    return recipe
