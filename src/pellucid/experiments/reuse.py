"""Runs of other comparisons that count in this one, since their recipes are the same."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pellucid.evaluation import TRACKS
from pellucid.experiments.matrix import Job, finished
from pellucid.experiments.results import RESULT, Result
from pellucid.recipe import as_started, completed, differences, settings
from pellucid.run_folder import RECIPE, RUNS


def reuse(jobs: Sequence[Job], comparisons: Sequence[Path]) -> int:
    """Copy the results of runs of other comparisons with the same recipes and seeds into folders of jobs; returns their number.

    comparisons: their folders. Jobs that are started are left out, and those that depend on another run or whose weights another one needs.
    A track counts for another one with the identical damage. With precision `auto`, all runs have that of the first one.
    """
    needed = {job.restorer for job in jobs if not finished(job)}
    started = {job.folder for job in jobs if any((job.folder / name).exists() for name in (RESULT, RECIPE))}
    free = [job for job in jobs if job.restorer is None and job.folder not in needed | started]
    copied = 0
    for file in sorted(file for comparison in comparisons for file in comparison.rglob(f"{RUNS}/*/*/{RESULT}")):
        result = Result.load(file.parent)
        older = completed(result.settings)
        for job in free:
            if differences(older, settings(as_started(job.recipe, older))):
                continue
            if result.data_digest and result.data_digest != job.recipe.data.splits().digest:
                continue  # of other pictures in the same folder
            measured = {track: _measured_as(track, result) for track in job.tracks}
            if all(measured.values()):
                replace(
                    result,
                    arm=job.arm,
                    metrics={track: result.metrics[name] | {"track": track} for track, name in measured.items() if name},
                    per_image={track: result.per_image[name] for track, name in measured.items() if name},
                ).save(job.folder)
                free.remove(job)
                if job.recipe.training.precision == "auto":
                    free = [replace(other, recipe=as_started(other.recipe, older)) for other in free]
                copied += 1
                break
    return copied


def _measured_as(track: str, result: Result) -> str | None:
    """The name of a track with the same damage on which a run is measured."""
    damage = TRACKS[track].same_as or track
    return next((name for name in result.metrics if name in result.per_image and (TRACKS[name].same_as or name) == damage), None)
