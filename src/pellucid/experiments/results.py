"""Stored results of a run, and of a whole comparison.

The folder of a run holds, beside what `pellucid.run` writes, `result.json` with its figures and `per-image.npz` with those of every test
image; a run that has a `result.json` is finished. Both are small, so that the evidence of a comparison can be kept without its weights.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pellucid.errors import UserError
from pellucid.files import atomic_write, write_json

RESULT, PER_IMAGE_FILE = "result.json", "per-image.npz"


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a network: parameters; multiply-accumulates of one forward pass on one image; training_seconds; seconds per image.

    The last one is measured for all arms in turns after the training, not by the runs.
    """

    parameters: int
    macs: int
    training_seconds: float
    seconds_per_image: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one arm with one seed.

    settings: of its recipe, see `pellucid.recipe.settings`; metrics: by track, see `Evaluation.to_json`; per_image: by track, then by
    column of a figure that is `paired`, (levels * images,) float32, NaN where a figure is undefined, and without the columns of a task
    that the arm lacks; for the user's own pictures also `label`, `predicted`, `confidence` and `input_psnr`; provenance: command, commit,
    device, date of the evaluation; course: records of the training's `log.jsonl`; classes: their names; data_digest: see `Splits`.
    """

    arm: str
    seed: int
    settings: dict[str, Any]
    cost: Cost
    metrics: dict[str, dict[str, Any]]
    provenance: dict[str, Any]
    course: list[dict[str, Any]] = field(default_factory=list, repr=False)
    classes: list[str] = field(default_factory=list)
    data_digest: str = ""
    per_image: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict, repr=False, compare=False)

    def save(self, folder: Path) -> None:
        """Write both files; `result.json` last, since it marks the run as finished."""
        columns = {
            f"{track}/{name}": column.astype(_dtype(name, column))
            for track, by_name in self.per_image.items()
            for name, column in by_name.items()
        }
        with atomic_write(folder / PER_IMAGE_FILE) as path, path.open("wb") as file:
            np.savez_compressed(file, **columns)  # type: ignore[arg-type]
        plain = {name: value for name, value in asdict(self).items() if name != "per_image"}
        write_json(folder / RESULT, plain)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load the result of a finished run; raises `UserError` if its files are invalid."""
        per_image: dict[str, dict[str, NDArray[np.float32]]] = {}
        try:
            plain = json.loads((folder / RESULT).read_bytes())
            with (folder / PER_IMAGE_FILE).open("rb") as file, np.load(file, allow_pickle=False) as columns:
                for key in columns.files:
                    track, name = key.split("/")
                    per_image.setdefault(track, {})[name] = columns[key].astype(np.float32)
            return cls(**(plain | {"cost": Cost(**plain["cost"])}), per_image=per_image)
        except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile) as error:
            raise UserError(
                f"Expected the figures of a finished run in {folder}, found files that can't be read ({type(error).__name__}); remove "
                f"{RESULT} there, and it is measured again."
            ) from error


def _dtype(name: str, column: NDArray[np.float32]) -> type[np.generic]:
    """The smallest sufficient type; float16 has no class beyond 2,048, and too few confidences for the AUROC, which needs their order."""
    if name in ("label", "predicted", "confidence"):
        return np.float32
    return np.uint8 if name == "correct" and not np.isnan(column).any() else np.float16


@dataclass(frozen=True, slots=True)
class Results:
    """The results of a comparison, some of whose runs may be unfinished.

    question: as text; base: settings of the recipe that all arms start from; changes: by arm, how its recipe differs from the base, lines
    such as `model.tasks: both -> classify`, the seed left out; runs: by arm, then by seed, the finished ones; logs: the same, the records
    of each run's `log.jsonl`, empty where it is gone; planned: arms and seeds that were requested; pairs: arm and baseline, what is
    compared; provenance: command, commit, device, date; failures: by arm and seed, why a run failed.
    """

    question: str
    base: dict[str, Any]
    changes: Mapping[str, list[str]]
    planned: tuple[tuple[str, ...], tuple[int, ...]]
    pairs: tuple[tuple[str, str], ...]
    tracks: tuple[str, ...]
    runs: Mapping[str, Mapping[int, Result]]
    logs: Mapping[str, Mapping[int, list[dict[str, Any]]]]
    provenance: dict[str, Any]
    failures: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def measured(self, track: str) -> dict[str, Any]:
        """Data set, split and number of images of a track's figures; empty where no run is finished."""
        scores = (run.metrics[track] for by_seed in self.runs.values() for run in by_seed.values() if track in run.metrics)
        return {name: value for name, value in next(scores, {}).items() if name in ("dataset", "split", "num_images")}
