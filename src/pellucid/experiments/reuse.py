"""Runs of other comparisons that count in this one, since their recipes are the same."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pellucid.evaluation import TRACKS
from pellucid.experiments.matrix import Job
from pellucid.experiments.results import RESULT, Result
from pellucid.recipe import as_started, completed, differences, settings
from pellucid.run_folder import RECIPE, RUNS


def reuse(jobs: Sequence[Job], comparisons: Sequence[Path]) -> int:
    """Copy the results of runs of other comparisons with the same recipes and seeds into folders of jobs; returns their number.

    comparisons: their folders. Jobs that are started are left out, and those that depend on another run. A track counts for another one
    with the identical damage.
    """
    free = [job for job in jobs if job.restorer is None and not (job.folder / RESULT).exists() and not (job.folder / RECIPE).exists()]
    copied = 0
    for file in sorted(file for comparison in comparisons for file in comparison.rglob(f"{RUNS}/*/*/{RESULT}")):
        result = Result.load(file.parent)
        started = completed(result.settings)
        for job in free:
            if differences(started, settings(as_started(job.recipe, started))):
                continue
            measured = {track: _measured_as(track, result) for track in job.tracks}
            if all(measured.values()):
                replace(
                    result,
                    arm=job.arm,
                    metrics={track: result.metrics[name] | {"track": track} for track, name in measured.items() if name},
                    per_image={track: result.per_image[name] for track, name in measured.items() if name},
                ).save(job.folder)
                free.remove(job)
                copied += 1
                break
    return copied


def _measured_as(track: str, result: Result) -> str | None:
    """The name of a track with the same damage on which a run is measured."""
    damage = TRACKS[track].same_as or track
    return next((name for name in result.metrics if name in result.per_image and (TRACKS[name].same_as or name) == damage), None)
