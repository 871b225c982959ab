"""Renders a report as HTML or as Markdown."""

from importlib.metadata import version
from pathlib import Path
from typing import get_args

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pellucid.files import atomic_write
from pellucid.reporting.blocks import Block, Report, Strong

REPORT, MARKDOWN = "report.html", "report.md"

_environment = Environment(
    loader=PackageLoader("pellucid.reporting"),
    autoescape=lambda name: name != "report.md",
    undefined=StrictUndefined,
    keep_trailing_newline=True,
)

_environment.tests |= {kind.__name__.lower(): lambda each, kind=kind: isinstance(each, kind) for kind in (Strong, *get_args(Block))}


def render_html(report: Report) -> str:
    """The report as an HTML page; all text except `Markup` is escaped."""
    style = Markup(_environment.loader.get_source(_environment, "style.css")[0])  # type: ignore[union-attr]
    return _environment.get_template("report.html").render(report=report, style=style, version=version("pellucid"))


def render_markdown(report: Report) -> str:
    """The report as Markdown, without its pictures."""
    return _environment.get_template("report.md").render(report=report).rstrip() + "\n"


def write_report_files(report: Report, folder: Path) -> Path:
    """Write `report.html` and `report.md` into a folder, replacing older ones, and return the path of the page."""
    for name, render in ((REPORT, render_html), (MARKDOWN, render_markdown)):
        with atomic_write(folder / name) as path:
            path.write_text(render(report), encoding="utf-8")
    return folder / REPORT


def html(template: str, **parts: object) -> Markup:
    """Format `template`: fields that are `Markup` are inserted unchanged, all others escaped.

    >>> html("<b>{name}</b> {rest}", name="<i>&", rest=html("<hr>"))
    Markup('<b>&lt;i&gt;&amp;</b> <hr>')
    """
    return Markup(template).format(**parts)
