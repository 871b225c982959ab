"""Analysis -> the report as one HTML page that needs nothing else, with charts and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.experiments.analysis import Analysis
from pellucid.experiments.charts import course_charts, difference_charts, figure_charts, gradient_charts
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
from pellucid.experiments.verdict import verdicts
from pellucid.reporting.facts import all_settings
from pellucid.reporting.gallery import view
from pellucid.reporting.page import Html, html, join, page, paragraph, section, table, terms


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A row of pictures: text: what is to be seen; pictures: a caption and (H, W, 3) uint8 each."""

    text: str
    pictures: Sequence[tuple[str, NDArray[np.uint8]]]


def webpage(analysis: Analysis, examples: Sequence[Example] = ()) -> Html:
    """The whole page."""
    results = analysis.results
    first, *others = verdicts(analysis).values()
    content = (
        html(
            '<header><h1>Pellucid · <b>{question}</b></h1><p class="lede">{verdict}</p></header>\n',
            question=results.question,
            verdict=_sentence(first),
        ),
        _listed([_sentence(other) for other in others]),
        _figures(analysis),
        _differences(analysis),
        _examples(examples),
        _cost(analysis),
        _trainings(analysis),
        _arms(analysis),
        section("What was run", terms(provenance(analysis)), all_settings(results.base)),
    )
    return page(f"{results.question} · Pellucid", *content)


def _figures(analysis: Analysis) -> Html:
    if not analysis.figures:
        return section("The figures", paragraph("No run is finished yet."))
    parts = []
    for track in analysis.results.tracks:
        parts += [_table(figures_table(analysis, track)), figure_charts(analysis, track)]
        parts += [_table(levels) for levels in level_tables(analysis, track)]
    note = (
        "Small dots: seeds; large dots: their mean, hollow where there is one seed; lines: 95 % intervals, which may go on beyond the edge."
    )
    return section("The figures", _missing(analysis), *parts, paragraph(note, "note"))


def _differences(analysis: Analysis) -> Html:
    parts = []
    for track in analysis.results.tracks:
        if differences := differences_table(analysis, track):
            parts += [_table(differences), difference_charts(analysis, track)]
    if not parts:
        return Html()
    note = "Bold: the interval over seeds leaves 0 out. In the charts the thin line below is the interval over images. "
    return section("The differences", *parts, paragraph(note + intervals(analysis), "note"))


def _examples(examples: Sequence[Example]) -> Html:
    rows = (
        html(
            '<li><figure><figcaption>{text}</figcaption><div class="views">{views}</div></figure></li>\n',
            text=example.text,
            views=join(view(picture, caption, f"{example.text}: {caption}") for caption, picture in example.pictures),
        )
        for example in examples
    )
    told = "These are the measured pictures on which two arms differ most, so they show how arms differ and not how often."
    return section("Where they differ most", paragraph(told), html('<ul class="rows">{rows}</ul>', rows=join(rows))) if examples else Html()


def _cost(analysis: Analysis) -> Html:
    return section("What they cost", _table(cost_table(analysis))) if analysis.costs else Html()


def _trainings(analysis: Analysis) -> Html:
    parts = []
    if courses := course_charts(analysis):
        told = (
            "Single batches of damaged training pictures while the networks learn, smoothed, the mean over the seeds. Where the beginning "
            "is steep it runs out of the chart."
        )
        parts += [paragraph(told), courses]
    if gradients := gradients_table(analysis):
        told = "The cosine between the tasks’ gradients: above 0 both pull the shared weights the same way, below 0 against each other."
        parts += [html("<h3>Do the tasks agree?</h3>"), paragraph(told), gradient_charts(analysis), _table(gradients)]
    return section("The trainings", *parts) if parts else Html()


def _arms(analysis: Analysis) -> Html:
    told = paragraph("What each arm changes in the recipe that all of them start from:")
    return section("The arms", told, terms(dict(changes(analysis))))


def _missing(analysis: Analysis) -> Html:
    return _listed(list(missing(analysis)))


def _listed(lines: Sequence[str]) -> Html:
    return html("<ul>{lines}</ul>\n", lines=join(html("<li>{line}</li>", line=line) for line in lines)) if lines else Html()


def _table(content: Table) -> Html:
    rows = ([html("<strong>{cell}</strong>", cell=cell) if isinstance(cell, Strong) else cell for cell in row] for row in content.rows)
    return table(content.caption, content.head, rows, "figures")


def _sentence(clause: str) -> str:
    return clause[:1].upper() + clause[1:] + "."
