"""The pieces of a page: escaped text, sections, tables, and the style that they share."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version

from pellucid.reporting.style import STYLE


class Html(str):
    """Text that is HTML already. Every other value is escaped on its way into a page, so that no class name can break or script it."""

    __slots__ = ()


def html(template: str, **parts: object) -> Html:
    """`template` with its {fields} filled in: `Html` as it is, anything else as escaped text.

    >>> html("<b>{name}</b> {rest}", name="<i>&", rest=html("<hr>"))
    '<b>&lt;i&gt;&amp;</b> <hr>'
    """
    return Html(template.format(**{name: part if isinstance(part, Html) else escape(str(part)) for name, part in parts.items()}))


def join(parts: Iterable[Html]) -> Html:
    """The pieces one after the other."""
    return Html("".join(parts))


def section(heading: str, *content: Html) -> Html:
    """A part of the page under its heading."""
    return html("<section><h2>{heading}</h2>{content}</section>\n", heading=heading, content=join(content))


def paragraph(text: str, kind: str = "") -> Html:
    """A paragraph; `kind` is its class in the style sheet."""
    return html('<p class="{kind}">{text}</p>', kind=kind, text=text)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], kind: str) -> Html:
    """A table; the first cell of each row is its header, `kind` its class in the style sheet. It scrolls where the screen is narrow."""
    return html(
        '<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table class="{kind}"><caption>{caption}</caption>'
        "<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>",
        caption=caption,
        kind=kind,
        head=join(html('<th scope="col">{cell}</th>', cell=cell) for cell in head),
        rows=join(_row(*row) for row in rows),
    )


def _row(header: object, *cells: object) -> Html:
    return html(
        '<tr><th scope="row">{header}</th>{cells}</tr>', header=header, cells=join(html("<td>{cell}</td>", cell=cell) for cell in cells)
    )


def terms(entries: Mapping[str, object]) -> Html:
    """A list of terms, and what is to be said of each."""
    rows = (html("<div><dt>{term}</dt><dd>{said}</dd></div>", term=term, said=said) for term, said in entries.items())
    return html("<dl>{rows}</dl>", rows=join(rows))


def collapsed(summary: str, *content: Html) -> Html:
    """What is shown on demand."""
    return html("<details><summary>{summary}</summary>{content}</details>", summary=summary, content=join(content))


def page(title: str, *content: Html) -> Html:
    """A whole page. Its security policy forbids the browser to fetch anything, so it is self-contained by more than good will."""
    return html(PAGE, title=title, policy=POLICY, version=version("pellucid"), style=Html(STYLE), content=join(content))


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Pellucid {version}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{content}</main>
</body>
</html>
"""
