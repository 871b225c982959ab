"""The conclusion of a comparison in one sentence.

A task gains or loses if the paired 95 % interval over seeds of its main figure, accuracy or PSNR on the first track, excludes 0. The
interval over images is not used, since it does not cover the variation over seeds.
"""

from collections.abc import Mapping

from pellucid.experiments.analysis import Analysis
from pellucid.experiments.comparison import SINGLE
from pellucid.experiments.statistics import Estimate, signed, signed_interval
from pellucid.metrics import FIGURES, TASKS

JOINT = "joint"
"""The main arm, and the prefix of the names of its variants."""


def verdict(analysis: Analysis) -> str:
    """The conclusion, one clause for each joint arm, the main one first."""
    return "; ".join(verdicts(analysis).values())


def verdicts(analysis: Analysis) -> dict[str, str]:
    """The conclusion by arm, the main one first; without arms of which no run is finished, unless there are no others."""
    arms, _ = analysis.results.planned
    compared = [arm for arm, _ in analysis.results.pairs]
    judged = list(dict.fromkeys(arm for arm in compared if arm.startswith(JOINT))) or list(dict.fromkeys(compared))
    if not judged:
        return {"": f"nothing to compare {' and '.join(arms)} with"}
    judged = [arm for arm in judged if arm in analysis.figures] or judged
    judged.sort(key=lambda arm: arm != JOINT)
    clauses = {arm: _clause(analysis, arm) for arm in judged}
    present = [name for name in SINGLE if name in arms]
    if present and (absent := [name for name in SINGLE if name not in arms]):
        clauses[judged[0]] += f", and arm {absent[0]} is missing"
    return clauses


def _clause(analysis: Analysis, arm: str) -> str:
    """The conclusion for an arm: yes or no against the single-task arms; gains and losses against other baselines."""
    baselines = [baseline for name, baseline in analysis.results.pairs if name == arm]
    single = [name for name in SINGLE if name in baselines]
    parts = [f"with {arm}, {': '.join(_conclude(analysis, arm, single))}"] if single else []
    others = [name for name in baselines if name not in single and (name in analysis.figures or not single)]
    parts += [f"against {name}: {_conclude(analysis, arm, [name])[1]}" for name in others]
    return ("" if single else f"{arm} ") + ", ".join(parts)


def _conclude(analysis: Analysis, arm: str, baselines: list[str]) -> tuple[str, str]:
    """Yes or no, and the gains and losses with their figures."""
    track = analysis.results.tracks[0]
    by_baseline = [analysis.paired.get((arm, baseline), {}).get(track, {}) for baseline in baselines]
    differences = {metric: pairs[metric].over_seeds for metric in TASKS.values() for pairs in by_baseline if metric in pairs}
    if not differences:
        return "not known yet", "no seed is finished in both arms"
    figures = f"({', '.join(_figure(metric, difference) for metric, difference in differences.items())})"
    if any(difference.interval is None for difference in differences.values()):
        return "not known", f"a single seed gives no interval {figures}"
    measured = analysis.figures[arm].get(track, {})
    required = {metric for metric, single in zip(TASKS.values(), SINGLE, strict=True) if single in baselines and metric in measured}
    if waiting := [task for task, metric in TASKS.items() if metric in required - differences.keys()]:
        return "not known yet", f"{_gains(differences)} {figures}, the single-task arm of {waiting[0]} is not finished"
    signs = {difference.sign for difference in differences.values()}
    word = "no" if -1 in signs else "not shown" if signs == {0} else "in part" if 0 in signs else "yes"
    return word, f"{_gains(differences)} {figures}"


def _gains(differences: Mapping[str, Estimate]) -> str:
    gaining, undecided, losing = (
        [task for task, metric in TASKS.items() if metric in differences and differences[metric].sign == sign] for sign in (1, 0, -1)
    )
    if len(undecided) == len(differences):
        return "both intervals include 0" if len(differences) > 1 else f"the interval of {undecided[0]} includes 0"
    if len(gaining) > 1 or len(losing) > 1:
        return "both tasks gain" if gaining else "both tasks lose"
    if gaining and losing:
        return f"{gaining[0]} gains and {losing[0]} loses"
    text = f"{gaining[0]} gains" if gaining else f"{losing[0]} loses"
    return text + (f", no difference is shown in {undecided[0]}" if undecided else "")


def _figure(metric: str, difference: Estimate) -> str:
    interval = "" if difference.interval is None else f" {signed_interval(difference.interval, '.2f')}"
    return f"{signed(difference.mean, '.2f')} {FIGURES[metric].difference}{interval}"
