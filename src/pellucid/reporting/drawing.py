"""Charts of matplotlib as inline SVG that follows the reader's light or dark mode."""

import io
import re
from collections.abc import Callable, Iterable

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from pellucid.reporting.render import html

NUM_LINES = 8
"""Number of line colours in the style sheet; further lines repeat them with dashes."""

LINE_COLOURS = [f"line-{number}" for number in range(1, NUM_LINES + 1)]

# Placeholder colours, replaced by the variables of the style sheet after drawing.
PLACEHOLDERS = {name: f"#0101{number:02x}" for number, name in enumerate(["ink", "soft", "line", "naming", "restoring", *LINE_COLOURS], 1)}

RC = {
    "axes.edgecolor": PLACEHOLDERS["line"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": PLACEHOLDERS["soft"],
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10.5,
    "grid.color": PLACEHOLDERS["line"],
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "text.color": PLACEHOLDERS["soft"],
    "xtick.color": PLACEHOLDERS["line"],
    "xtick.labelcolor": PLACEHOLDERS["soft"],
    "ytick.labelcolor": PLACEHOLDERS["soft"],
    "ytick.left": False,
}
"""Settings of matplotlib for charts."""


def draw_svg(plot: Callable[[Figure], None], label: str, size: tuple[float, float] = (5.0, 2.5), salt: str = "") -> Markup:
    """Draw a chart by `plot`, as SVG with the colours and font of the page.

    label: text alternative for screen readers; size: width and height in inches, whose ratio is kept; salt: makes the identifiers in the
    SVG unique and reproducible. The colours of `PLACEHOLDERS` become those of the page.
    """
    with matplotlib.rc_context({**RC, "svg.hashsalt": salt or label}):
        figure = Figure(figsize=size, layout="constrained")
        plot(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg")
    return _inline(stream.getvalue(), label)


def chart(title: str, unit: str, drawing: Markup) -> Markup:
    """A drawing below its title and unit."""
    return html(
        "<figure><figcaption>{title} <small>{unit}</small></figcaption>{drawing}</figure>\n", title=title, unit=unit, drawing=drawing
    )


def chart_grid(charts: Iterable[Markup]) -> Markup:
    """Charts side by side; empty without any."""
    joined = Markup().join(charts)
    return html('<div class="curves">{charts}</div>\n', charts=joined) if joined else Markup()


def _inline(drawing: str, label: str) -> Markup:
    """Convert an SVG file of matplotlib to inline SVG, with the width, colours and font of the page."""
    drawing = drawing[drawing.index("<svg") :]
    for unwanted in (
        r"<metadata>.*?</metadata>",
        r"<style.*?</style>",
        r' id="[a-z\d.]+_\d+"',
        r" font-family: [^;\"]*;?",
        r' (xmlns:xlink|version)="[^"]*"',
    ):
        drawing = re.sub(unwanted, "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'<svg width="[^"]*" height="[^"]*"', "<svg", drawing, count=1)
    for name, colour in PLACEHOLDERS.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    return Markup(drawing.replace("<svg", html('<svg role="img" aria-label="{label}"', label=label), 1))
