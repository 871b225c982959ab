"""The report of a comparison: results -> `comparison.json` for programs, `report.md` for repositories, `report.html` to look at.

`analysis.py` has the figures behind all three, `verdict.py` the sentence, `tables.py` and `charts.py` what `markdown.py` and `webpage.py`
lay out.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.experiments.analysis import Analysis, Difference, analyse, differences_of_images
from pellucid.experiments.markdown import document
from pellucid.experiments.results import Results
from pellucid.experiments.statistics import Estimate
from pellucid.experiments.verdict import verdict
from pellucid.experiments.webpage import Example, webpage
from pellucid.files import write_aside

__all__ = ["COMPARISON", "MARKDOWN", "REPORT", "Example", "comparison_json", "markdown", "most_different", "write_report"]

COMPARISON, MARKDOWN, REPORT = "comparison.json", "report.md", "report.html"


def comparison_json(results: Results) -> dict[str, Any]:
    """Everything that was found, in plain values.

    question, command, commit, device, date; seeds; measured: by track, data set, split and number of images; arms: by arm, then by track
    and metric, mean, ci95 and values; cost beside the tracks, means over seeds; paired: by `"ARM-BASELINE"`, then by track and metric, the
    same of ARM minus BASELINE, and bootstrap95; verdict; missing: arm and seed of runs. values are those of the finished seeds in the order
    of `seeds`, in %, dB or fractions, see `Metrics.compute`; ci95 is null for one seed, bootstrap95 where no images were kept.
    """
    return _plain(analyse(results))


def markdown(results: Results) -> str:
    """The report as Markdown."""
    return document(analyse(results))


def write_report(folder: Path, results: Results, examples: Sequence[Example] | None = None) -> Path:
    """Write the three files of the report into a folder, in the place of older ones, and return the path of the page.

    examples: rows of pictures for the page, such as those of the images that `most_different` names.
    """
    analysis = analyse(results)
    contents = {
        COMPARISON: json.dumps(_plain(analysis), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        MARKDOWN: document(analysis),
        REPORT: webpage(analysis, examples or ()),
    }
    for name, content in contents.items():
        with write_aside(folder / name) as path:
            path.write_text(content, encoding="utf-8")
    return folder / REPORT


def most_different(results: Results, arm_a: str, arm_b: str, track: str, metric: str, num: int) -> list[int]:
    """Places in the data set of at most `num` images on which two arms differ most, in the mean over the seeds and levels that both have.

    metric: a column of `Result.per_image`. The first half are those where `arm_a` is ahead, for `psnr` its largest gains, for `correct`
    those that it names right and `arm_b` wrong; then those where it is behind. Where one side has too few, the other fills in; images on
    which the two do not differ are never among them.
    """
    differences = np.nan_to_num(differences_of_images(results, arm_a, arm_b, track, metric))
    order = np.argsort(-differences, kind="stable")
    ahead = [int(place) for place in order if differences[place] > 0]
    behind = [int(place) for place in np.argsort(differences, kind="stable") if differences[place] < 0]
    num_behind = min(len(behind), max(num // 2, num - len(ahead)))
    return ahead[: num - num_behind] + behind[:num_behind]


def _plain(analysis: Analysis) -> dict[str, Any]:
    results = analysis.results
    return {
        "question": results.question,
        **{name: results.provenance.get(name) for name in ("command", "commit", "device", "date")},
        "seeds": list(results.planned[1]),
        "measured": {track: _measured(results, track) for track in results.tracks},
        "arms": {
            arm: {
                **{track: {metric: _estimate(figure) for metric, figure in figures.items()} for track, figures in by_track.items()},
                "cost": {
                    name: getattr(analysis.costs[arm], name) for name in ("parameters", "macs", "training_seconds", "seconds_per_image")
                },
            }
            for arm, by_track in analysis.figures.items()
        },
        "paired": {
            f"{arm}-{rival}": {
                track: {metric: _difference(difference) for metric, difference in differences.items()}
                for track, differences in by_track.items()
            }
            for (arm, rival), by_track in analysis.paired.items()
        },
        "verdict": verdict(analysis),
        "missing": [
            {"arm": arm, "seed": seed, "reason": results.failures.get((arm, seed), "not finished")} for arm, seed in analysis.missing
        ],
    }


def _measured(results: Results, track: str) -> dict[str, Any]:
    """Data set, split and number of images behind a track's figures; empty where no run is finished."""
    scores = (run.metrics[track] for runs in results.runs.values() for run in runs.values() if track in run.metrics)
    return {name: value for name, value in next(scores, {}).items() if name in ("dataset", "split", "num_images")}


def _estimate(figure: Estimate) -> dict[str, Any]:
    return {"mean": figure.mean, "ci95": figure.interval and list(figure.interval), "values": list(figure.values)}


def _difference(difference: Difference) -> dict[str, Any]:
    return _estimate(difference.over_seeds) | {"bootstrap95": difference.over_images and list(difference.over_images)}
