"""The report of a cross-validation: `folds.json` for programs, `report.md` for repositories, `report.html` to look at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.experiments.analysis import METRICS
from pellucid.experiments.folds import Folds
from pellucid.experiments.statistics import NOTHING, Estimate, Interval, signed
from pellucid.files import write_json
from pellucid.metrics import BROKEN_MARK, FIGURES, TASKS
from pellucid.reporting.blocks import Block, Items, Report, Section, Strong, Table, Terms, Text
from pellucid.reporting.facts import all_settings, runs_provenance
from pellucid.reporting.render import write_report_files

FOLDS = "folds.json"

INTERVALS = (
    "Interval over pictures: variation over other samples of as many pictures, with the same networks; Wilson’s interval for accuracy, "
    "otherwise the bootstrap.",
    "Interval over folds: variation over training pictures; Student’s t, corrected for the training pictures that folds share (Nadeau and "
    "Bengio 2003). No exact interval of a cross-validation is known.",
    "Exact and near duplicates, and pictures of one group in a table, are in one fold. Other related pictures, such as several slices of "
    "one patient or frames of one scene, may be in several: then all figures are too good, and both intervals too narrow.",
    "The interval over pictures takes each picture for itself: with groups of several pictures, such as all slices of one patient, it is "
    "too narrow.",
    "Neither interval covers pictures from other sources, such as another scanner, camera or selection of pictures.",
)


def write_folds_report(out: Path, folds: Folds) -> Path:
    """Write the three files into a folder, replacing older ones, and return the path of the page."""
    write_json(out / FOLDS, folds_json(folds), ensure_ascii=False, allow_nan=False)
    return write_report_files(folds_report(folds), out)


def folds_report(folds: Folds) -> Report:
    """The report of a cross-validation, whose runs may be unfinished."""
    results = next(iter(folds.results.values()))
    name = Path(results.base["data"]["dataset"]).name
    first, *others = summary(folds)
    sections = [
        *(Section(f"Track “{track}”", list(_of_track(folds, track))) for track in folds.tracks),
        Section("Interpretation", [Items(INTERVALS)]),
        Section("Not finished", [Items(folds.missing)] if folds.missing else []),
        Section("Provenance", [Terms(runs_provenance(list(folds.results.values()))), all_settings(results.base)]),
    ]
    heading = f"Cross-validation of {name} in {len(folds.results)} folds"
    return Report(heading, heading, first, [section for section in sections if section.blocks], others)


def summary(folds: Folds) -> list[str]:
    """The results on the first track, a sentence for each arm and pair of arms."""
    track, lines = folds.tracks[0], []
    most_frequent = folds.most_frequent(track)
    for arm in folds.arms:
        clauses = []
        if accuracy := folds.over_pictures(arm, track, "accuracy"):
            baseline = f"; “{most_frequent[0]}” for all: {100 * most_frequent[1]:.1f} %" if most_frequent else ""
            clauses.append(f"accuracy {accuracy[0]:.1f} % (95 % over pictures {_range(accuracy[1], '.1f')}{baseline})")
        if psnr := folds.over_pictures(arm, track, "psnr"):
            before = folds.over_pictures(arm, track, "input_psnr")
            gain = f"{before[0]:.2f} → " if before else ""
            clauses.append(f"PSNR {gain}{psnr[0]:.2f} dB (95 % over pictures {_range(psnr[1], '.2f')})")
        if clauses:
            lines.append(f"{arm}: {', '.join(clauses)}.")
    for arm, baseline in folds.pairs:
        clauses = []
        for metric in TASKS.values():
            if difference := folds.difference(arm, baseline, track, metric):
                conclusion = {1: "a gain", -1: "a loss", 0: "no difference is shown"}[difference.sign]
                figure = f"{signed(difference.mean, '.2f')} {FIGURES[metric].difference}"
                interval = difference.interval
                clauses.append(f"{figure} (95 % over folds {_range(interval, '+.2f')}: {conclusion})" if interval else figure)
        if clauses:
            lines.append(f"{arm} against {baseline}: {', '.join(clauses)}.")
    return lines or ["No fold is finished yet."]


def _of_track(folds: Folds, track: str) -> Iterator[Block]:
    rows = list(_figures(folds, track))
    if not rows:
        yield Text("No fold is finished yet.")
        return
    input_psnr = folds.columns(folds.arms[0], track, "input_psnr")
    num_undamaged = int(np.isnan(input_psnr).sum())
    num_pictures = max(len(folds.columns(arm, track, column)) for arm in folds.arms for column in ("correct", "psnr"))
    pictures = f"{num_pictures:,} pictures of {folds.measured(track).get('dataset', 'the data set')}"
    broken = f"; {BROKEN_MARK}: some outputs are not finite" if any(folds.is_broken(arm, track) for arm in folds.arms) else ""
    yield Table(
        f"Track “{track}”, {pictures}, each evaluated by networks that were not trained on it{broken}",
        ["figure", "of", "over pictures", "95 %", "over folds", "95 %", "the folds"],
        rows,
    )
    if num_undamaged:
        yield Text(f"PSNR is that of the {len(input_psnr) - num_undamaged:,} damaged pictures; {num_undamaged:,} are undamaged.")
    if most_frequent := folds.most_frequent(track):
        yield Text(f"Predicting “{most_frequent[0]}” for every picture gives an accuracy of {100 * most_frequent[1]:.1f} %.")
    if differences := list(_differences(folds, track)):
        head = ["difference", "of", "over folds", "95 %", "95 % over pictures"]
        yield Table(f"Track “{track}”: differences, paired by fold and by picture; bold: the interval excludes 0", head, differences)
    if classes := list(_classes(folds, track)):
        yield Table(f"Track “{track}”: accuracy by true class", ["class", "of", "pictures", "accuracy %", "95 %"], classes)


def _figures(folds: Folds, track: str) -> Iterator[list[str]]:
    """A row for each figure of each arm."""
    for metric in ("input_psnr", *METRICS):
        figure = FIGURES[metric]
        for arm in folds.arms[: 1 if metric == "input_psnr" else None]:  # the damaged pictures are the same for all
            if estimate := folds.estimate(arm, track, metric):
                over = folds.over_pictures(arm, track, metric)
                pooled = [format(over[0], figure.spec), _range(over[1], figure.spec)] if over else [NOTHING, NOTHING]
                name = "damaged pictures" if metric == "input_psnr" else arm + BROKEN_MARK * folds.is_broken(arm, track)
                yield [figure.heading, name, *pooled, *_spread(estimate, figure.spec), _values(estimate, figure.spec)]
    for arm in folds.arms:
        if estimate := folds.auroc(arm, track):
            yield [f"AUROC of “{folds.classes[1]}”", arm, NOTHING, NOTHING, *_spread(estimate, ".3f"), _values(estimate, ".3f")]


def _differences(folds: Folds, track: str) -> Iterator[list[str]]:
    for arm, baseline in folds.pairs:
        for metric in (name for name, figure in FIGURES.items() if figure.compared):
            if estimate := folds.difference(arm, baseline, track, metric):
                spec, over = f"+{FIGURES[metric].spec}", folds.difference_over_pictures(arm, baseline, track, metric)
                mean, interval = _spread(estimate, spec)
                marked = Strong(interval) if estimate.sign else interval
                yield [f"{arm} − {baseline}", FIGURES[metric].heading, mean, marked, _range(over, spec) if over else NOTHING]


def _classes(folds: Folds, track: str) -> Iterator[list[str]]:
    for arm in folds.arms:
        for name, number, share, (low, high) in folds.by_class(arm, track):
            yield [name, arm, f"{number:,}", f"{100 * share:.1f}", _range((100 * low, 100 * high), ".1f")]


def _number(value: float, spec: str) -> str:
    """A figure as text, or with a spec such as `+.2f` a difference, without a sign for 0."""
    return signed(value, spec[1:]) if spec[0] == "+" else format(value, spec)


def _spread(estimate: Estimate, spec: str) -> list[str]:
    return [_number(estimate.mean, spec), _range(estimate.interval, spec) if estimate.interval else NOTHING]


def _values(estimate: Estimate, spec: str) -> str:
    return " ".join(format(value, spec) for value in estimate.values)


def _range(interval: Interval, spec: str) -> str:
    return " to ".join(_number(end, spec) for end in interval)


def folds_json(folds: Folds) -> dict[str, Any]:
    """All results, in plain values.

    command, commit, device, date; folds; seeds; measured: by track, data set, split and number of images; arms: by arm, then by track and
    metric, pictures (mean and ci95 over pictures, null where not kept) and folds (mean, ci95, values); paired: by `"ARM-BASELINE"`, the
    same of the difference; classes: by arm and track; most_frequent: by track, the class that most pictures have, and their share;
    missing: unfinished runs, as text.
    """
    results = next(iter(folds.results.values()))
    return {
        **{name: results.provenance.get(name) for name in ("command", "commit", "device", "date")},
        "folds": len(folds.results),
        "seeds": list(results.planned[1]),
        "measured": {track: folds.measured(track) for track in folds.tracks},
        "arms": {arm: {track: _track_json(folds, arm, track) for track in folds.tracks} for arm in folds.arms},
        "paired": {
            f"{arm}-{baseline}": {track: _paired_json(folds, arm, baseline, track) for track in folds.tracks}
            for arm, baseline in folds.pairs
        },
        "most_frequent": {track: folds.most_frequent(track) for track in folds.tracks},
        "missing": folds.missing,
    }


def _track_json(folds: Folds, arm: str, track: str) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for metric in ("input_psnr", *METRICS):
        if estimate := folds.estimate(arm, track, metric):
            over = folds.over_pictures(arm, track, metric)
            pictures = None if over is None else {"mean": over[0], "ci95": list(over[1])}
            figures[metric] = {"pictures": pictures, "folds": estimate.to_json()}
    if area := folds.auroc(arm, track):
        figures["auroc"] = {"pictures": None, "folds": area.to_json()}
    classes = [
        {"class": name, "num_pictures": number, "right": share, "ci95": list(interval)}
        for name, number, share, interval in folds.by_class(arm, track)
    ]
    return {**figures, "classes": classes}


def _paired_json(folds: Folds, arm: str, baseline: str, track: str) -> dict[str, Any]:
    metrics = {}
    for metric in (name for name, figure in FIGURES.items() if figure.compared):
        if difference := folds.difference(arm, baseline, track, metric):
            over = folds.difference_over_pictures(arm, baseline, track, metric)
            metrics[metric] = {"folds": difference.to_json(), "ci95_over_pictures": over and list(over)}
    return metrics
