"""The report of a comparison: results -> `comparison.json`, `report.md` and `report.html`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from pellucid.experiments.analysis import Analysis, Difference, analyse
from pellucid.experiments.results import Results
from pellucid.experiments.verdict import verdict, verdicts
from pellucid.files import write_json
from pellucid.metrics import FIGURES
from pellucid.reporting.blocks import Block, Html, Items, Report, Section, Subheading, Terms, Text
from pellucid.reporting.comparison_charts import course_charts, difference_charts, figure_charts, gradient_charts
from pellucid.reporting.comparison_examples import Contrast, contrast_gallery
from pellucid.reporting.comparison_tables import (
    cost_table,
    differences_table,
    figures_table,
    gradients_table,
    level_tables,
)
from pellucid.reporting.facts import all_settings, runs_provenance
from pellucid.reporting.render import html, write_report_files

COMPARISON = "comparison.json"

INTERVALS_NOTE = (
    "The interval over seeds is Student’s t: how the mean would vary if all networks were trained again. Differences are paired by seed. "
    "The interval over images resamples the measured images and keeps the trained networks; it does not cover other seeds. No "
    "interval is corrected for the number of comparisons."
)
SAME_IMAGES_NOTE = "Runs of one seed saw the same images, crops and damage."
OTHER_IMAGES_NOTE = "Runs of one seed saw the same damage, but not all the same images and crops: some arms sample them differently."
OTHER_DAMAGE_NOTE = "The arms were trained on different damage."
ONE_SEED_NOTE = "An arm with a single seed has no interval."

DRAWING = ("data.", "training.batch_size", "training.crop", "training.flip", "training.epochs", "training.small_images")
"""Prefixes of the settings that determine which images and crops a run uses."""


def write_comparison_report(folder: Path, results: Results, contrasts: Sequence[Contrast] = ()) -> Path:
    """Write the three files of the report into a folder, replacing older ones, and return the path of the page.

    contrasts: rows of pictures for the page.
    """
    analysis = analyse(results)
    report = comparison_report(analysis, contrasts)
    write_json(folder / COMPARISON, comparison_json(analysis), ensure_ascii=False, allow_nan=False)
    return write_report_files(report, folder)


def comparison_report(analysis: Analysis, contrasts: Sequence[Contrast] = ()) -> Report:
    """The report of a comparison, whose runs may be unfinished."""
    results = analysis.results
    first, *others = (f"{clause[:1].upper()}{clause[1:]}." for clause in verdicts(analysis).values())
    changes = {arm: "; ".join(results.changes.get(arm, [])) or "none" for arm in results.planned[0]}
    sections = [
        Section("Figures", list(_figures(analysis))),
        Section("Differences", list(_differences(analysis))),
        Section("Largest differences", [Html(contrast_gallery(contrasts))] if contrasts else []),
        Section("Costs", [cost_table(analysis)] if analysis.costs else []),
        Section("Training", list(_trainings(analysis))),
        Section("Arms", [Text("Changes of the base recipe in each arm:"), Terms(changes)]),
        Section("Provenance", [Terms(runs_provenance([analysis.results])), all_settings(results.base)]),
    ]
    return Report(results.question, results.question, first, [section for section in sections if section.blocks], others)


def _figures(analysis: Analysis) -> Iterator[Block]:
    if missing := list(_missing(analysis)):
        yield Items(missing)
    if not analysis.figures:
        yield Text("No run is finished yet.")
        return
    for track in analysis.results.tracks:
        yield figures_table(analysis, track)
        yield Html(figure_charts(analysis, track))
        yield from level_tables(analysis, track)
    metrics = {metric for by_track in analysis.figures.values() for figures in by_track.values() for metric in figures}
    if explained := {figure.heading: figure.meaning for name, figure in FIGURES.items() if name in metrics and figure.explained}:
        yield Terms(explained)
    note = "Small dots: seeds; large dots: their mean, hollow for a single seed; lines: 95 % intervals, which may exceed the axis."
    yield Html(html('<p class="note">{note}</p>', note=note))


def _differences(analysis: Analysis) -> Iterator[Block]:
    tables = {track: table for track in analysis.results.tracks if (table := differences_table(analysis, track))}
    for track, table in tables.items():
        yield table
        yield Html(difference_charts(analysis, track))
    if tables:
        drawn, damage = (
            {tuple(line for line in lines if line.startswith(prefixes)) for lines in analysis.results.changes.values()}
            for prefixes in (DRAWING, "damage")
        )
        same = OTHER_DAMAGE_NOTE if len(damage) > 1 else OTHER_IMAGES_NOTE if len(drawn) > 1 else SAME_IMAGES_NOTE
        single = any(len(runs) == 1 for runs in analysis.results.runs.values())
        yield Html(html('<p class="note">In the charts, the thin lower line is the interval over images.</p>'))
        bold = "Bold: the interval over seeds excludes 0."
        yield Text(" ".join([bold, INTERVALS_NOTE, same, *([ONE_SEED_NOTE] if single else [])]), "note")


def _trainings(analysis: Analysis) -> Iterator[Block]:
    if courses := course_charts(analysis):
        text = "Single batches of damaged training pictures, smoothed, means over seeds. A steep beginning may exceed the vertical axis."
        yield Html(html("<p>{text}</p>{courses}", text=text, courses=courses))
    if gradients := gradients_table(analysis):
        yield Subheading("Agreement of the gradients")
        yield Text(
            "The cosine between the gradients of the two tasks in the shared layers: above 0, a step for one task helps the other; "
            "below 0, they conflict."
        )
        yield Html(gradient_charts(analysis))
        yield gradients


def _missing(analysis: Analysis) -> Iterator[str]:
    failures = analysis.results.failures
    yield from (f"{arm} failed with seed {seed}: {reason.rstrip('.')}." for (arm, seed), reason in sorted(failures.items()))
    for arm, pairs in groupby(sorted(pair for pair in analysis.missing if pair not in failures), key=lambda pair: pair[0]):
        seeds = [str(seed) for _, seed in pairs]
        yield f"{arm} is not finished with {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}."
    yield from (f"{line}." for line in analysis.incomplete)


def comparison_json(analysis: Analysis) -> dict[str, Any]:
    """All results as plain values.

    question, command, commit, device, date; seeds; measured: by track, data set, split and number of images; arms: by arm, then by track
    and metric, mean, ci95 and values; cost beside the tracks, means over seeds; paired: by `"ARM-BASELINE"`, then by track and metric, the
    same of ARM minus BASELINE, and bootstrap95; verdict; missing: arm, seed and reason of runs. values are those of the finished seeds in
    the order of `seeds`, in %, dB or fractions, see `Metrics.compute`; ci95 is null for one seed, bootstrap95 where no images were kept.
    """
    results = analysis.results
    return {
        "question": results.question,
        **{name: results.provenance.get(name) for name in ("command", "commit", "device", "date")},
        "seeds": list(results.planned[1]),
        "measured": {track: results.measured(track) for track in results.tracks},
        "arms": {
            arm: {
                **{track: {metric: figure.to_json() for metric, figure in figures.items()} for track, figures in by_track.items()},
                "cost": asdict(analysis.costs[arm]),
            }
            for arm, by_track in analysis.figures.items()
        },
        "paired": {
            f"{arm}-{baseline}": {
                track: {metric: _difference(difference) for metric, difference in differences.items()}
                for track, differences in by_track.items()
            }
            for (arm, baseline), by_track in analysis.paired.items()
        },
        "verdict": verdict(analysis),
        "missing": [
            {"arm": arm, "seed": seed, "reason": results.failures.get((arm, seed), "not finished")} for arm, seed in analysis.missing
        ],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return difference.over_seeds.to_json() | {"bootstrap95": difference.over_images and list(difference.over_images)}
