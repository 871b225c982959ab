"""Charts of matplotlib as inline SVG that follows the reader's light or dark mode."""

import io
import re
from collections.abc import Callable

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from pellucid.reporting.render import html

NUM_LINES = 8
"""Colours that the style sheet has for lines which stand for different things; past them they come again, dashed."""

LINE_COLOURS = [f"line-{number}" for number in range(1, NUM_LINES + 1)]

# While matplotlib draws, these stand for the variables of the style sheet.
STAND_INS = {name: f"#0101{number:02x}" for number, name in enumerate(["ink", "soft", "line", "naming", "restoring", *LINE_COLOURS], 1)}

RC = {
    "axes.edgecolor": STAND_INS["line"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": STAND_INS["soft"],
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10.5,
    "grid.color": STAND_INS["line"],
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",  # text stays text, in the page's own font
    "text.color": STAND_INS["soft"],
    "xtick.color": STAND_INS["line"],
    "xtick.labelcolor": STAND_INS["soft"],
    "ytick.labelcolor": STAND_INS["soft"],
    "ytick.left": False,
}
"""What matplotlib is told for a chart, and for no one else's."""


def draw_svg(plot: Callable[[Figure], None], label: str, size: tuple[float, float] = (5.0, 2.5), salt: str = "") -> Markup:
    """What `plot` puts into a figure, as SVG in the page's colours and font.

    label: what a reader who can't see it is told; size: width and height in inches, of which the page keeps but the ratio; salt: makes the
    names inside the drawing its own and the same every time. Colours of `STAND_INS` become those of the page.
    """
    with matplotlib.rc_context({**RC, "svg.hashsalt": salt or label}):
        figure = Figure(figsize=size, layout="constrained")
        plot(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg")
    return _inline(stream.getvalue(), label)


def _inline(drawing: str, label: str) -> Markup:
    """A drawing of matplotlib's as part of a page: as wide as there is room, in its colours and font, and with nothing of a file's own."""
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
    for name, colour in STAND_INS.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    return Markup(drawing.replace("<svg", html('<svg role="img" aria-label="{label}"', label=label), 1))
