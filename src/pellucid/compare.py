"""`pellucid compare`: trains and measures a matrix of runs, and writes the report."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pellucid.device import choose_device
from pellucid.errors import UserError
from pellucid.experiments.analysis import analyse
from pellucid.experiments.comparison import SINGLE, Comparison, at_values
from pellucid.experiments.cost import seconds_per_image
from pellucid.experiments.folds import Folds, in_folds
from pellucid.experiments.matrix import Job, failure_reason, finished, plan, run_jobs
from pellucid.experiments.results import Result, Results
from pellucid.experiments.reuse import reuse
from pellucid.experiments.verdict import JOINT, verdict
from pellucid.provenance import provenance
from pellucid.recipe import settings
from pellucid.reporting.comparison_curve import CURVE, write_curve
from pellucid.reporting.comparison_examples import contrasts
from pellucid.reporting.comparison_report import write_comparison_report
from pellucid.reporting.folds_report import summary as summary_of_folds
from pellucid.reporting.folds_report import write_folds_report
from pellucid.reporting.render import REPORT
from pellucid.run import initialise

__all__ = ["CURVE", "REPORT", "compare", "compare_at_values", "cross_validate", "gather", "summary", "summary_of_folds"]

NOTHING_FINISHED = "Expected finished runs to report in {}, found none; train some first, or name their folder by --out."


def compare(
    comparison: Comparison, seeds: Sequence[int], out: Path, *, device: str = "auto", workers: int = 1, reused: Sequence[Path] = ()
) -> Results:
    """Train and evaluate every arm with every seed in `out`, resuming an earlier call, and write the report there.

    workers: runs at a time. reused: folders of other comparisons, whose finished runs with the same recipe and seed are not trained again.
    The report is also written when the jobs are stopped, of the finished runs. Raises `UserError` for runs that were started with other
    recipes.
    """
    jobs = plan(comparison, seeds, out)
    if reuse(jobs, reused):
        jobs = plan(comparison, seeds, out)  # again, since the precision `auto` of all runs is that of the finished ones
    try:
        run_jobs(jobs, device=device, workers=workers)
    finally:
        results = gather(comparison, seeds, jobs, device)
        if any(results.runs.values()):
            write_comparison_report(out, results, contrasts(results, jobs))
    if not workers and not any(results.runs.values()):
        raise UserError(NOTHING_FINISHED.format(out))
    return results


def compare_at_values(
    comparison: Comparison,
    setting: str,
    values: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    reused: Sequence[Path] = (),
) -> dict[str, Results]:
    """Compare at each value of a setting, each in a folder `SETTING-VALUE`, and draw the curve; returns the results by value.

    See `folder_name` for the names of the folders. The other arguments are those of `compare`.
    """
    if not values:
        raise UserError(f"Expected values of {setting} to compare at, found none; name them after it.")
    if not any(arm.startswith(JOINT) and baseline in SINGLE for arm, baseline in comparison.pairs):
        raise UserError(
            f"Expected a joint arm and one of {', '.join(SINGLE)}, whose difference is the curve, found {', '.join(comparison.arms)}; "
            "add one."
        )
    by_value = {}
    comparisons = at_values(comparison, setting, values)
    folders = {value: out / folder_name(setting, value) for value in values}
    plans = {value: plan(varied, seeds, folders[value]) for value, varied in comparisons.items()}  # report errors before training
    recipes = [[job.recipe for job in jobs] for jobs in plans.values()]
    if any(recipes.count(each) > 1 for each in recipes):
        raise UserError(f"Expected values of {setting} that make different runs, found {' '.join(values)}; leave out what changes none.")
    for value, varied in comparisons.items():
        if not workers and not any(map(finished, plans[value])):
            continue
        by_value[value] = compare(varied, seeds, folders[value], device=device, workers=workers, reused=reused)
        write_curve(out, setting, by_value)
    if not by_value:
        raise UserError(NOTHING_FINISHED.format(out))
    return by_value


def folder_name(setting: str, value: str) -> str:
    """The name of the folder of a value: `SETTING-VALUE`, with characters that names can't have as in addresses, a slash as %2F."""
    return re.sub(r'[<>:"/\\|?*]' if os.name == "nt" else "/", lambda found: f"%{ord(found[0]):02X}", f"{setting}-{value}")


def cross_validate(comparison: Comparison, folds: int, seeds: Sequence[int], out: Path, *, device: str = "auto", workers: int = 1) -> Folds:
    """Train and evaluate every arm once for each part of the pictures, each in a folder `fold-K` of `out`, and write the report there.

    Resumes an earlier call. Raises `UserError` for data other than the user's own pictures without splits, see `in_folds`.
    """
    by_fold = in_folds(comparison, folds)
    plans = {fold: plan(varied, seeds, out / f"fold-{fold}") for fold, varied in by_fold.items()}
    try:
        every = [replace(job, arm=f"{job.arm} of fold {fold}") for fold, jobs in plans.items() for job in jobs]
        run_jobs(every, device=device, workers=workers)  # in one go, so that no process waits for the end of a fold
    finally:
        results = Folds({fold: gather(by_fold[fold], seeds, jobs, device, timed=False) for fold, jobs in plans.items()})
        if results.arms:
            write_folds_report(out, results)
    if not workers and not results.arms:
        raise UserError(NOTHING_FINISHED.format(out))
    return results


def summary(results: Results) -> str:
    """The conclusion of a comparison, for the terminal."""
    return verdict(analyse(results))


def gather(comparison: Comparison, seeds: Sequence[int], jobs: Sequence[Job], device: str = "auto", timed: bool = True) -> Results:
    """The results of the finished runs; timed: with the time of a forward pass of each arm, measured now."""
    runs: dict[str, dict[int, Result]] = {arm: {} for arm in comparison.arms}
    for job in jobs:
        if result := finished(job):
            runs[job.arm][job.seed] = result
    return Results(
        question=comparison.question,
        base=settings(comparison.base),
        changes={arm: comparison.changes(arm) for arm in comparison.arms},
        planned=(tuple(comparison.arms), tuple(seeds)),
        pairs=comparison.pairs,
        tracks=comparison.tracks,
        runs=_timed(runs, jobs, device) if timed else runs,
        logs={arm: {seed: result.course for seed, result in by_seed.items()} for arm, by_seed in runs.items()},
        provenance=provenance(["pellucid", *sys.argv[1:]], choose_device(device)),
        failures={(job.arm, job.seed): reason for job in jobs if (reason := failure_reason(job))},
    )


def _timed(runs: Mapping[str, Mapping[int, Result]], jobs: Sequence[Job], device: str) -> dict[str, dict[int, Result]]:
    """Add the time of a forward pass to the results, measured now for all arms in turns."""
    recipes = {job.arm: job.recipe for job in jobs if runs[job.arm]}
    if not recipes:
        return {arm: {} for arm in runs}
    images = next(iter(recipes.values())).data.splits().measured
    networks = {
        arm: initialise(recipe, len(images.classes), load=False).eval().to(choose_device(device)) for arm, recipe in recipes.items()
    }
    seconds = seconds_per_image(networks, side=images.size[0])
    return {
        arm: {seed: replace(result, cost=replace(result.cost, seconds_per_image=seconds[arm])) for seed, result in by_seed.items()}
        for arm, by_seed in runs.items()
    }
