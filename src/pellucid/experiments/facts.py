"""Analysis -> what a reader must know of a comparison beside its figures: where they come from, and what is not there."""

from collections.abc import Iterator
from itertools import groupby

from pellucid.experiments.analysis import Analysis

HOW = (
    "The interval over seeds is Student’s t: how the mean would vary if all networks were trained again. Differences are paired, since "
    "runs of one seed saw the same images, crops and damage. The interval over images resamples the measured images and keeps the trained "
    "networks; it says nothing of other seeds. Each interval stands for itself: none is widened for the number of comparisons."
)
"""How intervals are to be read."""

ONE_SEED = "An arm with one seed has no interval: one seed can’t tell how seeds vary."


def intervals(analysis: Analysis) -> str:
    """How the intervals of this report are to be read."""
    single = any(len(runs) == 1 for runs in analysis.results.runs.values())
    return f"{HOW} {ONE_SEED}" if single else HOW


def missing(analysis: Analysis) -> Iterator[str]:
    """What was asked for and is not there, a line each."""
    failures = analysis.results.failures
    yield from (f"{arm} failed with seed {seed}: {reason.rstrip('.')}." for (arm, seed), reason in sorted(failures.items()))
    for arm, pairs in groupby(sorted(pair for pair in analysis.missing if pair not in failures), key=lambda pair: pair[0]):
        seeds = [str(seed) for _, seed in pairs]
        yield f"{arm} is not finished with {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}."
    yield from (f"{lack}." for lack in analysis.lacking)


def provenance(analysis: Analysis) -> dict[str, str]:
    """Where the figures come from, by the name of the fact."""
    results = analysis.results
    arms, seeds = results.planned
    runs = [run.provenance for by_seed in results.runs.values() for run in by_seed.values()]
    facts = {
        "Command": results.provenance.get("command"),
        "Commit": results.provenance.get("commit"),
        "Device": results.provenance.get("device"),
        "Date": results.provenance.get("date"),
        "Seeds": ", ".join(str(seed) for seed in seeds),
        "Runs": f"{len(runs)} of {len(arms) * len(seeds)} finished",
        "Runs were made by commit": _distinct(run.get("trained_commit") or run.get("commit") for run in runs),
        "Runs were made on": _distinct(run.get("device") for run in runs),
        "Runs at a time": _distinct(str(run["runs_at_a_time"]) for run in runs if "runs_at_a_time" in run),
        "Runs were measured": _distinct(run.get("date") for run in runs),
    }
    return {name: str(fact) for name, fact in facts.items() if fact}


def _distinct(facts: Iterator[str | None]) -> str:
    return "; ".join(sorted({fact for fact in facts if fact}))
