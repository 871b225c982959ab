"""Draws the plots of `docs/does-joint-help.md` from the comparisons in `results/`; missing ones are omitted.

python scripts/plot_evidence.py
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pellucid.training.gradients import ALL

ROOT = Path(__file__).parents[1]
RESULTS, DOCS = ROOT / "results", ROOT / "docs"

TASKS = {"accuracy": ("classify", "accuracy, %"), "psnr": ("restore", "PSNR, dB")}
"""Main metric of each task, its single-task arm, and the label of the axis."""

WIDER = "joint-wider"
"""`joint` of the comparison `joint-wider-base-cpu`, whose single-task networks are those of the reference comparison."""

ARMS = ("classify", "restore", "sequential", "paper-listing", "joint-plain", "joint", WIDER, "joint-equal")
"""Of the reference comparison, in the order of the plots."""

GOOD, BAD, PLAIN = "#1a7f5a", "#b4472d", "#33475b"

SETTINGS = {
    "reference-base-cpu": "50,000 images, 4 epochs",
    "regime-base-cpu/training.epochs-8": "8 epochs",
    "regime-base-cpu/training.epochs-2": "2 epochs",
    "regime-base-cpu/training.epochs-1": "1 epoch",
    "few-images-base-cpu": "5,000 images",
    "regime-images-base-cpu/data.labels-2500": "2,500 images",
    "low-label-base-cpu": "one label in ten",
    "everyday-base-cpu": "mixed damage",
}
"""Comparisons of joint with single-task networks."""

EDGES = {"accuracy": (-4.0, 4.0), "psnr": (-0.3, 0.2)}
"""Ends of the axes of differences; intervals of two seeds may be longer, and means beyond them are stated."""


def main() -> None:
    """Draw all available plots."""
    matplotlib.rcParams.update({"font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "pellucid"})
    comparisons = {name: json.loads(path.read_text()) for name in SETTINGS if (path := RESULTS / name / "comparison.json").exists()}
    if reference := comparisons.get("reference-base-cpu"):
        if (wider := RESULTS / f"{WIDER}-base-cpu" / "comparison.json").exists():
            add_wider(reference, json.loads(wider.read_text()))
        figures(reference)
        costs(reference)
        gradients(RESULTS / "reference-base-cpu")
    if comparisons:
        differences(comparisons)


def add_wider(reference: dict[str, Any], comparison: dict[str, Any]) -> None:
    """Add `joint` of another comparison to the reference comparison, by another name."""
    reference["arms"][WIDER] = comparison["arms"]["joint"]
    for baseline in ("classify", "restore"):
        reference["paired"][f"{WIDER}-{baseline}"] = comparison["paired"][f"joint-{baseline}"]


def figures(comparison: dict[str, Any]) -> None:
    """Accuracy and PSNR of every arm: seeds, mean, 95 % interval."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (metric, (_, label)) in zip(figure.subplots(1, 2), TASKS.items(), strict=True):
        rows = [(arm, estimate) for arm in ARMS if (estimate := comparison["arms"].get(arm, {}).get("reference", {}).get(metric))]
        for position, (_, estimate) in enumerate(rows):
            _dot(axes, position, estimate, PLAIN)
        axes.set_yticks(range(len(rows)), [arm for arm, _ in rows])
        axes.invert_yaxis()
        axes.set_xlabel(label)
        axes.grid(True, axis="x", alpha=0.3)
        axes.locator_params(axis="x", nbins=5)
    _save(figure, "joint-figures")


def differences(comparisons: dict[str, dict[str, Any]]) -> None:
    """The paired differences of joint networks to the single-task ones, by comparison, with the cost relative to both of these."""
    rows = [(name, arm) for name, each in comparisons.items() for arm in ("joint", WIDER, "joint-equal") if arm in each["arms"]]
    figure = Figure(figsize=(9, 1.0 + 0.3 * len(rows)), layout="constrained")
    for axes, (metric, (baseline, label)) in zip(figure.subplots(1, 2, sharey=True), TASKS.items(), strict=True):
        for place, (name, arm) in enumerate(rows):
            found = next(iter(comparisons[name]["paired"][f"{arm}-{baseline}"].values()))[metric]
            low, high = found["ci95"] or (found["mean"], found["mean"])
            colour = GOOD if low > 0 else BAD if high < 0 else PLAIN
            _dot(axes, place, found, colour)
            if found["mean"] < EDGES[metric][0]:
                axes.annotate(
                    f"\N{LEFTWARDS ARROW} {found['mean']:.2f}",
                    (EDGES[metric][0], place),
                    (4, 0),
                    textcoords="offset points",
                    color=colour,
                    va="center",
                )
        axes.axvline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(EDGES[metric])
        axes.set_xlabel(f"{label}: joint minus {baseline}")
        axes.grid(True, axis="x", alpha=0.3)
        axes.set_yticks(
            range(len(rows)), [f"{SETTINGS[name]}, cost {_relative_cost(comparisons[name]['arms'], arm):.2f}" for name, arm in rows]
        )
    axes.invert_yaxis()
    _save(figure, "joint-differences")


def _relative_cost(arms: dict[str, Any], arm: str) -> float:
    macs = {name: arms[name]["cost"]["macs"] for name in ("classify", "restore", arm)}
    return float(macs[arm] / (macs["classify"] + macs["restore"]))


def costs(comparison: dict[str, Any]) -> None:
    """Cost of inference against accuracy and PSNR of each arm, and of the two single-task networks together."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    macs = {arm: estimate["cost"]["macs"] / 1e6 for arm, estimate in comparison["arms"].items()}
    both = macs.get("classify", 0) + macs.get("restore", 0)
    for axes, (metric, (baseline, label)) in zip(figure.subplots(1, 2), TASKS.items(), strict=True):
        for arm in ARMS:
            estimate = comparison["arms"].get(arm, {}).get("reference", {}).get(metric)
            if estimate:
                position = both if arm == baseline else macs[arm]
                axes.plot(position, estimate["mean"], "o", color=PLAIN if arm == baseline else GOOD)
                name = "two networks" if arm == baseline else arm
                below = arm == "sequential" and baseline == "restore"  # its restorer is that of the two networks
                side = {"xytext": (-6, -11 if below else 4), "ha": "right"} if position > 0.8 * both else {"xytext": (6, 4)}
                axes.annotate(name, (position, estimate["mean"]), textcoords="offset points", fontsize=8, **side)
        axes.margins(0.18)
        axes.set_xlabel("million multiply-accumulates")
        axes.set_ylabel(label)
        axes.grid(True, alpha=0.3)
    _save(figure, "joint-costs")


def gradients(folder: Path) -> None:
    """The cosine between the gradients of the two tasks by layer over the training of `joint`, the mean over its seeds."""
    courses: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("runs/joint/seed-*/result.json")):
        for record in json.loads(path.read_text())["course"]:
            for layer, cosine in (record.get("gradient_cosine") or {}).items():
                if cosine is not None:
                    courses[layer][round(record["progress"], 2)].append(cosine)
    if not courses:
        return
    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots()
    for layer, course in courses.items():
        done = sorted(course)
        means = [float(np.mean(course[each])) for each in done]
        axes.plot(np.multiply(done, 100), means, label=layer, linewidth=2.5 if layer == ALL else 1.2)
    axes.axhline(0, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlabel("part of the training, %")
    axes.set_ylabel("cosine of the gradients")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, "joint-gradients")


def _dot(axes: Axes, place: int, found: dict[str, Any], colour: str) -> None:
    """Seeds as pale dots, the interval as a line, the mean as a dot."""
    axes.plot(found["values"], [place - 0.22] * len(found["values"]), "o", color=colour, markersize=2.8, alpha=0.5)
    if found["ci95"]:
        axes.plot(found["ci95"], [place] * 2, color=colour, linewidth=2)
    axes.plot(found["mean"], place, "o", color=colour, markersize=5.5)


def _save(figure: Figure, name: str) -> None:
    figure.savefig(DOCS / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
