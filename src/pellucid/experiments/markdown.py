"""Analysis -> the report as Markdown, to be read in a repository."""

from collections.abc import Iterator, Sequence

from pellucid.experiments.analysis import Analysis
from pellucid.experiments.facts import intervals, missing, provenance
from pellucid.experiments.tables import (
    Strong,
    Table,
    changes,
    cost_table,
    differences_table,
    figures_table,
    gradients_table,
    level_tables,
)
from pellucid.experiments.verdict import verdict


def document(analysis: Analysis) -> str:
    """The whole report, paragraphs and tables."""
    return "\n\n".join(_blocks(analysis)) + "\n"


def _blocks(analysis: Analysis) -> Iterator[str]:
    results = analysis.results
    yield f"# {results.question}"
    yield f"**Verdict:** {verdict(analysis)}."
    yield "## Arms"
    yield "What each arm changes in the recipe that all of them start from:"
    yield "\n".join(f"- `{arm}`: {said}" for arm, said in changes(analysis))
    yield "## Figures"
    if not analysis.figures:
        yield "No run is finished yet."
    for track in results.tracks if analysis.figures else ():
        yield _table(figures_table(analysis, track))
        yield from (_table(table) for table in level_tables(analysis, track))
    differences = [table for track in results.tracks if (table := differences_table(analysis, track))]
    if differences:
        yield "## Differences"
        yield "Bold where the interval over seeds leaves 0 out."
        yield from (_table(table) for table in differences)
    if analysis.figures:
        yield intervals(analysis)
        yield "## Cost"
        yield _table(cost_table(analysis))
    if gradients := gradients_table(analysis):
        yield "## Gradients"
        yield "Above 0 the two tasks pull the shared weights the same way, below 0 against each other."
        yield _table(gradients)
    if lines := list(missing(analysis)):
        yield "## Missing"
        yield "\n".join(f"- {line}" for line in lines)
    yield "## Provenance"
    yield "\n".join(f"- {name}: {_code(fact) if name == 'Command' else fact}" for name, fact in provenance(analysis).items())


def _table(table: Table) -> str:
    lines = [table.head, ["---", *("---:" for _ in table.head[1:])], *table.rows]
    return f"{table.caption}:\n\n" + "\n".join(_row(line) for line in lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(cell: str) -> str:
    text = cell.replace("|", "\\|")
    return f"**{text}**" if isinstance(cell, Strong) else text


def _code(text: str) -> str:
    return f"`{text}`"
