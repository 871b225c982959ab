"""Finds the folder of a saved model by its path, by the folder of its run, or by its name on the Hugging Face hub."""

import re
from importlib.resources import files
from pathlib import Path

from pellucid.errors import UserError
from pellucid.hub_access import download

WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"
"""The files of a saved model."""


def find_model(source: str | Path | None) -> Path:
    """The local folder of a model, downloaded if necessary; raises `UserError` if there is none.

    source: the folder of a model or of a run, a name on the hub (`owner/name`), or `None` or `bundled` for the bundled model.
    """
    if source in (None, "bundled"):
        return Path(str(files("pellucid"))) / "bundled"
    folder = Path(source)
    if (folder / "model" / CONFIG).is_file():  # the folder of a run
        return folder / "model"
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        if not (folder / CONFIG).is_file():
            reason = "no such folder" if not folder.exists() else f"no {CONFIG} in it"
            raise UserError(
                f"Expected the folder of a saved model or of a run, found {source} ({reason}); train one with 'pellucid train'."
            )
        return folder
    return download(str(source), (WEIGHTS, CONFIG))
