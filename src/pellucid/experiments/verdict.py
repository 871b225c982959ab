"""The conclusion of a comparison in one sentence, which may be negative.

A task gains or loses where the paired 95 % interval over seeds of its main figure, accuracy or PSNR on the first track, leaves 0 out. The
interval over images is not asked: it says nothing of how seeds vary.
"""

from collections.abc import Mapping

from pellucid.experiments.analysis import Analysis
from pellucid.experiments.comparison import SINGLE
from pellucid.experiments.statistics import Estimate
from pellucid.metrics import FIGURES, TASKS

JOINT = "joint"
"""The arm that the question is about, and how the names of its variants begin."""

ONE_SEED = "one seed can't tell a gain from luck"


def verdict(analysis: Analysis) -> str:
    """The answer to the comparison's question, one clause for each joint arm, that of the main one first."""
    return "; ".join(verdicts(analysis).values())


def verdicts(analysis: Analysis) -> dict[str, str]:
    """By arm that is judged, what is found of it; the main one first."""
    arms, _ = analysis.results.planned
    compared = [arm for arm, _ in analysis.results.pairs]
    judged = list(dict.fromkeys(arm for arm in compared if arm.startswith(JOINT))) or list(dict.fromkeys(compared))
    if not judged:
        return {"": f"nothing to compare: no arm beside {' and '.join(arms)}"}
    judged.sort(key=lambda arm: arm != JOINT)
    found = {arm: _clause(analysis, arm) for arm in judged}
    present = [name for name in SINGLE if name in arms]
    if present and (absent := [name for name in SINGLE if name not in arms]):
        found[judged[0]] += f", and {absent[0]} is not there to compare with"
    return found


def _clause(analysis: Analysis, arm: str) -> str:
    """What is found of an arm: against the single-task arms, yes or no; against each other baseline, who gains."""
    baselines = [baseline for name, baseline in analysis.results.pairs if name == arm]
    single = [name for name in SINGLE if name in baselines]
    parts = [f"with {arm}, {': '.join(_found(analysis, arm, single))}"] if single else []
    parts += [f"against {name}: {_found(analysis, arm, [name])[1]}" for name in baselines if name not in single]
    return ("" if single else f"{arm} ") + ", ".join(parts)


def _found(analysis: Analysis, arm: str, baselines: list[str]) -> tuple[str, str]:
    """Yes or no, and what was found."""
    track = analysis.results.tracks[0]
    by_baseline = [analysis.paired.get((arm, baseline), {}).get(track, {}) for baseline in baselines]
    found = {metric: pairs[metric].over_seeds for metric in TASKS.values() for pairs in by_baseline if metric in pairs}
    if not found:
        return "not known yet", "no seed is finished in both arms"
    figures = f"({', '.join(_figure(metric, difference) for metric, difference in found.items())})"
    if any(difference.interval is None for difference in found.values()):
        return "not known", f"{ONE_SEED} {figures}"
    measured = analysis.figures[arm].get(track, {})
    asked = {metric for metric, single in zip(TASKS.values(), SINGLE, strict=True) if single in baselines and metric in measured}
    if waiting := [task for task, metric in TASKS.items() if metric in asked - found.keys()]:
        return "not known yet", f"{_told(found)} {figures}, {waiting[0]} waits for its single-task arm"
    signs = {difference.sign for difference in found.values()}
    word = "no" if -1 in signs else "not shown" if signs == {0} else "in part" if 0 in signs else "yes"
    return word, f"{_told(found)} {figures}"


def _told(found: Mapping[str, Estimate]) -> str:
    """Who gains and who loses, in words."""
    gaining, undecided, losing = (
        [task for task, metric in TASKS.items() if metric in found and found[metric].sign == sign] for sign in (1, 0, -1)
    )
    if len(undecided) == len(found):
        return "both intervals include 0" if len(found) > 1 else f"the interval of {undecided[0]} includes 0"
    if len(gaining) > 1 or len(losing) > 1:
        return "both tasks gain" if gaining else "both tasks lose"
    if gaining and losing:
        return f"it trades, {gaining[0]} gains and {losing[0]} loses"
    told = f"{gaining[0]} gains" if gaining else f"{losing[0]} loses"
    return told + (f", no difference is shown in {undecided[0]}" if undecided else "")


def _figure(metric: str, difference: Estimate) -> str:
    interval = "" if difference.interval is None else " [{:+.2f}, {:+.2f}]".format(*difference.interval)
    return f"{difference.mean:+.2f} {FIGURES[metric].difference}{interval}"
