"""The building blocks of a report, which `render.py` renders as HTML or as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup


class Strong(str):
    """Bold text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; style: its class in the style sheet."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Subheading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table. caption: as text; head: of the columns; rows: cells of text, `Strong` for bold; the first cell of a row is its head."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    style: str = "figures"


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Terms:
    """A definition list."""

    entries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Steps:
    """Commands by their purpose."""

    commands: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Html:
    """HTML for the page only: charts, galleries, collapsible details."""

    content: Markup


Block = Text | Subheading | Table | Items | Terms | Steps | Html


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Report:
    """A report. title: of the window; heading: of the page; lede: summary, a sentence; more: further sentences."""

    title: str
    heading: str
    lede: str
    sections: Sequence[Section]
    more: Sequence[str] = field(default_factory=tuple)
