"""A comparison at several values of one setting -> curves of the differences, such as over length, width or amount of data.

Writes `curve.json`, `curve.md` and `curve.png` beside the folders of the single comparisons.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pellucid.experiments.analysis import Analysis, analyse
from pellucid.experiments.comparison import SINGLE
from pellucid.experiments.results import Results
from pellucid.experiments.statistics import NOTHING, Estimate, signed, signed_interval
from pellucid.experiments.verdict import JOINT
from pellucid.files import atomic_write, write_json
from pellucid.metrics import BROKEN_MARK, FIGURES, TASKS
from pellucid.reporting.comparison_tables import measured_on

CURVE = "curve"

BASELINES = dict(zip(TASKS.values(), SINGLE, strict=True))
"""The single-task baseline of each metric."""

Point = tuple[str, Estimate]
"""A value of the setting, as text, and the difference there."""


def write_curve(out: Path, setting: str, by_value: Mapping[str, Results]) -> Path:
    """Write the three files of a curve into `out`, replacing older ones, and return the path of the picture."""
    analyses = {value: analyse(results) for value, results in by_value.items()}
    joint = dict.fromkeys(arm for analysis in analyses.values() for arm, _ in analysis.paired if arm.startswith(JOINT))
    curves = {arm: {metric: _points(analyses, arm, metric) for metric in TASKS.values()} for arm in joint}
    write_json(out / f"{CURVE}.json", _plain(setting, analyses, curves))
    with atomic_write(out / f"{CURVE}.md") as path:
        path.write_text(_table(setting, analyses, curves), encoding="utf-8")
    with atomic_write(out / f"{CURVE}.png") as path:
        _draw(setting, list(by_value), curves).savefig(path, dpi=150)
    return out / f"{CURVE}.png"


Curves = Mapping[str, Mapping[str, Sequence[Point]]]
"""By joint arm, then by metric: the paired difference to the single-task arm at every value that has one."""


def _points(analyses: Mapping[str, Analysis], arm: str, metric: str) -> list[Point]:
    points = []
    for value, analysis in analyses.items():
        by_metric = analysis.paired.get((arm, BASELINES[metric]), {}).get(analysis.results.tracks[0], {})
        if metric in by_metric:
            points.append((value, by_metric[metric].over_seeds))
    return points


def _plain(setting: str, analyses: Mapping[str, Analysis], curves: Curves) -> dict[str, Any]:
    first = next(iter(analyses.values())).results
    return {
        "question": first.question,
        **first.provenance,
        "setting": setting,
        "seeds": list(first.planned[1]),
        "measured": first.measured(first.tracks[0]),
        "broken": {value: sorted(arm for arm, _ in analysis.broken) for value, analysis in analyses.items() if analysis.broken},
        "paired": {
            f"{arm}-{BASELINES[metric]}": {value: point.to_json() for value, point in points}
            for arm, by_metric in curves.items()
            for metric, points in by_metric.items()
        },
    }


def _table(setting: str, analyses: Mapping[str, Analysis], curves: Curves) -> str:
    """A table of the differences to the single-task arms, a row for each value."""
    columns = [(arm, metric) for arm, by_metric in curves.items() for metric in by_metric]
    head = [setting, *(f"{arm} − {BASELINES[metric]}, {FIGURES[metric].difference}" for arm, metric in columns)]
    rows = [
        [value + BROKEN_MARK * bool(analysis.broken), *(_cell(dict(curves[arm][metric]).get(value)) for arm, metric in columns)]
        for value, analysis in analyses.items()
    ]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    first = next(iter(analyses.values()))
    track = first.results.tracks[0]
    title = f"Track “{track}”{measured_on(first, track)}: paired differences by seed, mean and 95 % interval"
    note = f"; {BROKEN_MARK}: some outputs are not finite" if any(analysis.broken for analysis in analyses.values()) else ""
    return "\n".join([f"# {first.results.question}", "", f"{title}{note}.", "", *lines]) + "\n"


def _cell(point: Estimate | None) -> str:
    if point is None:
        return NOTHING
    return signed(point.mean, ".2f") + ("" if point.interval is None else f" {signed_interval(point.interval, '.2f')}")


def _draw(setting: str, values: Sequence[str], curves: Curves) -> Figure:
    """A chart for each task: the difference over the values of the setting, with its interval."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (task, metric) in zip(figure.subplots(1, len(TASKS)), TASKS.items(), strict=True):
        axes.axhline(0, color="grey", linewidth=1, linestyle=(0, (4, 3)))
        for number, (arm, by_metric) in enumerate(curves.items()):
            positions = [values.index(value) + 0.06 * number for value, _ in by_metric[metric]]
            points = [point for _, point in by_metric[metric]]
            axes.plot(positions, [point.mean for point in points], marker="o", markersize=4, color=f"C{number}", label=arm)
            for position, point in zip(positions, points, strict=True):
                if point.interval is not None:
                    axes.plot([position] * 2, point.interval, color=f"C{number}", linewidth=1.5)
        axes.set_xticks(range(len(values)), values)
        axes.set_xlabel(setting)
        axes.set_title(f"{task}: difference to {BASELINES[metric]}, {FIGURES[metric].difference}", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    if curves:
        figure.axes[0].legend(frameon=False, fontsize=9)
    return figure
