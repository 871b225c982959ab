"""The building blocks of a report, which `render.py` renders as HTML or as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup


class Strong(str):
    """Text that stands out."""

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
    """caption: in words; head: of the columns; rows: cells of text, `Strong` where they stand out, the first of each its own head."""

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
    """Terms, and what is to be said of each."""

    entries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Steps:
    """Commands, each after what it is for."""

    commands: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Html:
    """HTML that only a page can show: charts, galleries, what is shown on demand."""

    content: Markup


Block = Text | Subheading | Table | Items | Terms | Steps | Html


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Report:
    """title: of the window; heading: what is reported on; lede: what came of it, a sentence; more: further such sentences."""

    title: str
    heading: str
    lede: str
    sections: Sequence[Section]
    more: Sequence[str] = field(default_factory=tuple)
