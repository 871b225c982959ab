"""Charts of a comparison: figures and differences with their intervals, and training curves."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pellucid.experiments.analysis import Analysis
from pellucid.experiments.statistics import Estimate, Interval
from pellucid.metrics import FIGURES, TASKS
from pellucid.reporting.comparison_courses import Course, cosine_course, course, layers
from pellucid.reporting.comparison_tables import spread
from pellucid.reporting.curves import CURVES
from pellucid.reporting.drawing import LINE_COLOURS, PLACEHOLDERS, chart, chart_grid, draw_svg
from pellucid.reporting.render import html
from pellucid.training.gradients import ALL

COLOURS = {"classification": "naming", "restoration": "restoring"}
"""Colours of the main figure of each task."""

COURSES = ("accuracy", "psnr", "classification_loss")
"""The curves of the trainings; restoration losses are not drawn, since arms may have different ones."""

ROW_HEIGHT, AXES_HEIGHT = 0.3, 0.62
"""Heights in inches of one row, and of the rest of the chart."""

MAX_EXTENSION = 1.0
"""Maximum extension of an axis beyond the seeds to show whole intervals, relative to the range of all seeds."""

STEEP = 0.2
"""First fraction of a training that is ignored by the limits of the vertical axis."""

DASHES: Sequence[Any] = ("solid", (0, (5, 2)), (0, (1, 1.5)))
"""Dashes of lines that share a colour."""


def figure_charts(analysis: Analysis, track: str) -> Markup:
    """Accuracy and PSNR of every arm on a track: seeds, mean and interval."""
    charts = []
    for task, metric in TASKS.items():
        figures = {arm: by_track[track][metric] for arm, by_track in analysis.figures.items() if metric in by_track.get(track, {})}
        if figures:
            charts.append(_dots(metric, f"track “{track}”", "", {arm: (figure, None) for arm, figure in figures.items()}, COLOURS[task]))
    return chart_grid(charts)


def difference_charts(analysis: Analysis, track: str) -> Markup:
    """The differences in accuracy and PSNR on a track, with both intervals and a line at 0."""
    charts = []
    for task, metric in TASKS.items():
        rows = {
            f"{arm} − {baseline}": (by_track[track][metric].over_seeds, by_track[track][metric].over_images)
            for (arm, baseline), by_track in analysis.paired.items()
            if metric in by_track.get(track, {})
        }
        if rows:
            charts.append(_dots(metric, f"difference, track “{track}”", FIGURES[metric].difference, rows, COLOURS[task], zero=True))
    return chart_grid(charts)


def course_charts(analysis: Analysis) -> Markup:
    """Training curves over single batches, a line for each arm; empty without logs."""
    charts: list[Markup] = []
    drawn: set[str] = set()
    for name in COURSES:
        lines = {arm: curve for arm, logs in analysis.results.logs.items() if (curve := course(logs, name))}
        drawn |= lines.keys()
        if lines:
            charts.append(_lines(CURVES[name].title, CURVES[name].unit, lines, _line_styles(analysis.results.planned[0])))
    shown = {arm: style for arm, style in _line_styles(analysis.results.planned[0]).items() if arm in drawn}
    return html("{legend}{charts}", legend=_legend(shown), charts=chart_grid(charts)) if charts else Markup()


def gradient_charts(analysis: Analysis) -> Markup:
    """The cosine between the gradients of the two tasks, a line for each layer and a chart for each arm; empty if not recorded."""
    logs = {arm: by_seed for arm, by_seed in analysis.results.logs.items() if layers(by_seed)}
    styles = _line_styles(
        [layer for layer in dict.fromkeys(layer for by_seed in logs.values() for layer in layers(by_seed)) if layer != ALL]
    )
    styles[ALL] = ("ink", DASHES[0])
    charts = []
    for arm, by_seed in logs.items():
        lines = {layer: curve for layer in layers(by_seed) if (curve := cosine_course(by_seed, layer))}
        charts.append(_lines(arm, "cosine by layer", lines, styles, zero=True))
    return html("{legend}{charts}", legend=_legend(styles), charts=chart_grid(charts)) if charts else Markup()


Rows = Mapping[str, tuple[Estimate, Interval | None]]
"""By name: a figure or a difference with its interval over seeds, and the interval over images."""

LineStyle = tuple[str, Any]
"""The colour of a line, as a variable of the style sheet, and its dashes."""


def _line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    return {
        name: (LINE_COLOURS[index % len(LINE_COLOURS)], DASHES[index // len(LINE_COLOURS) % len(DASHES)])
        for index, name in enumerate(names)
    }


def _legend(styles: Mapping[str, LineStyle]) -> Markup:
    entries = (
        html(
            '<li><svg viewBox="0 0 28 8" aria-hidden="true"><path d="M0 4H28" style="stroke: var(--{colour}); stroke-width: 3; '
            'stroke-dasharray: {dashes}"/></svg>{name}</li>',
            colour=colour,
            dashes="none" if dashes == "solid" else " ".join(f"{3 * length:g}" for length in dashes[1]),
            name=name,
        )
        for name, (colour, dashes) in styles.items()
    )
    return html('<ul class="legend">{entries}</ul>\n', entries=Markup().join(entries))


def _dots(metric: str, what: str, unit: str, rows: Rows, colour: str, zero: bool = False) -> Markup:
    """A row for each name: pale dots for seeds, a dot for the mean, a line for the interval over seeds, a thin one for that over images."""
    paint, soft = PLACEHOLDERS[colour], PLACEHOLDERS["soft"]

    def plot(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(False, axis="y")
        axes.grid(True, axis="x")
        for index, (over_seeds, over_images) in enumerate(rows.values()):
            if over_images is not None:
                axes.plot(over_images, [index + 0.24] * 2, color=soft, linewidth=1.2)
            if over_seeds.interval is not None:
                axes.plot(over_seeds.interval, [index] * 2, color=paint, linewidth=2.2, solid_capstyle="butt")
            axes.plot(
                over_seeds.values,
                [index - 0.24] * len(over_seeds.values),
                color=paint,
                marker="o",
                markersize=3.2,
                linestyle="",
                alpha=0.55,
            )
            known = over_seeds.interval is not None
            axes.plot(over_seeds.mean, index, color=paint, marker="o", markersize=6.5, fillstyle="full" if known else "none")
        if zero:
            axes.axvline(0, color=soft, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(_limits(rows.values(), [0.0] if zero else []))
        axes.xaxis.set_major_locator(MaxNLocator(5))

    title, spec = f"{FIGURES[metric].heading}, {what}", FIGURES[metric].spec
    summary = "; ".join(f"{name} {spread(over_seeds, spec)}" for name, (over_seeds, _) in rows.items())
    return chart(title, unit, draw_svg(plot, f"{title}: {summary}", (5.0, AXES_HEIGHT + ROW_HEIGHT * len(rows))))


def _limits(rows: Collection[tuple[Estimate, Interval | None]], shown: Sequence[float]) -> Interval:
    """Limits of an axis that includes all seeds, and intervals up to `MAX_EXTENSION`, since those of two seeds are very wide.

    shown: further values to include.
    """
    values = [*shown, *(value for over_seeds, _ in rows for value in over_seeds.values)]
    reach = [end for over_seeds, over_images in rows for end in (*(over_seeds.interval or ()), *(over_images or ()))]
    low, high = min(values), max(values)
    most = MAX_EXTENSION * (high - low) or math.inf
    low, high = max(min([low, *reach]), low - most), min(max([high, *reach]), high + most)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _lines(title: str, unit: str, lines: Mapping[str, Course], styles: Mapping[str, LineStyle], zero: bool = False) -> Markup:
    def plot(figure: Figure) -> None:
        axes = figure.add_subplot()
        if zero:
            axes.axhline(0, color=PLACEHOLDERS["soft"], linewidth=1, linestyle=(0, (4, 3)))
        for name, (done, values) in lines.items():
            colour, dashes = styles[name]
            marker = "o" if len(values) == 1 else ""
            axes.plot(done, values, color=PLACEHOLDERS[colour], linestyle=dashes, linewidth=2.2 if colour == "ink" else 1.5, marker=marker)
        else:  # the limits ignore the steep beginning
            late = [value for done, values in lines.values() for value in values[done >= STEEP]]
            if late and min(late) < max(late):
                margin = 0.08 * (max(late) - min(late))
                axes.set_ylim(min(late) - margin, max(late) + margin)
        axes.set_xlabel("part of the training")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.margins(x=0.01)

    summary = "; ".join(f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, (_, values) in lines.items())
    return chart(title, unit, draw_svg(plot, f"{title}: {summary}"))
