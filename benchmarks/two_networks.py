"""One joint network compared with a separate classifier and restorer of the same encoder: time of a batch and multiply-accumulates.

    python benchmarks/two_networks.py

The arms `joint`, `classify` and `restore` of a recipe, not trained, since the time does not depend on the weights. In each engine, each of
the three networks has its own process; they compute in turns, on all cores, and the medians count. The time of two networks is the sum of
two medians, since a picture is processed by one after the other. Requires an otherwise idle machine. Writes `results/two-networks.json`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich import box
from rich import print as show
from rich.table import Table

from pellucid.bench_worker import TORCH, Worker
from pellucid.checkpoint import ModelMetadata, save_model
from pellucid.device import choose_precision
from pellucid.experiments import arms
from pellucid.experiments.cost import count_macs
from pellucid.export import export_model
from pellucid.files import atomic_write
from pellucid.provenance import provenance
from pellucid.recipe import RECIPES, Recipe
from pellucid.run import initialise

RESULTS = Path(__file__).parents[1] / "results" / "two-networks.json"

NUM_CLASSES = 10

ARMS = {"joint": arms.joint, "classify": arms.classify, "restore": arms.restore}

EXPORTED = {"onnx": ".onnx", "openvino": ""}
"""Exported formats, and the endings of their files."""

SLICE = 0.1
"""Approximate duration of a turn of one network in seconds."""

MOST = 0.65
"""Maximum cost of the joint network, relative to the two networks together."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="base", choices=sorted(RECIPES))
    parser.add_argument("--side", type=int, default=32, help="height and width of the images in pixels")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--starts", type=int, default=5, help="of the processes: some have faster memory than others")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each network after each start")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    recipes = {name: change(RECIPES[options.recipe]) for name, change in ARMS.items()}
    macs = {name: count_macs(initialise(recipe, NUM_CLASSES).eval(), options.side) for name, recipe in recipes.items()}
    with TemporaryDirectory() as folder:
        engines = {engine: measure(engine, sources, options) for engine, sources in prepare(recipes, Path(folder)).items()}
    figures = {
        "recipe": options.recipe,
        "side": options.side,
        "batch_size": options.batch_size,
        "starts": options.starts,
        "rounds": options.rounds,
    }
    figures |= {"macs": macs, "share_of_macs": share(macs), "engines": engines}
    show(table(figures))
    with atomic_write(options.out) as path:
        origin = provenance(["python", "benchmarks/two_networks.py", *sys.argv[1:]], torch.device("cpu"))
        path.write_text(json.dumps(origin | figures, indent=1) + "\n")


def prepare(recipes: dict[str, Recipe], folder: Path) -> dict[str, dict[str, Path]]:
    """The model of each network, by engine."""
    sources: dict[str, dict[str, Path]] = {TORCH: {}, **{format: {} for format in EXPORTED}}
    for name, recipe in recipes.items():
        network = initialise(recipe, NUM_CLASSES).eval()
        classes = tuple(f"class {number}" for number in range(NUM_CLASSES))
        save_model(folder / name, network, ModelMetadata(recipe.model, classes, recipe.pipeline.kinds))
        sources[TORCH][name] = folder / name
        for format, ending in EXPORTED.items():
            sources[format][name] = export_model(folder / name, format, folder / f"{name}-{format}{ending}").path
    precision = choose_precision(torch.device("cpu"))
    if precision.name == "32-true":
        show(f"Torch in bfloat16 is left out: {precision.reason}.")
        return sources
    return {TORCH: sources[TORCH], f"{TORCH}-bfloat16": sources[TORCH], **sources}


@contextmanager
def workers(engine: str, sources: dict[str, Path]) -> Iterator[dict[str, Worker]]:
    """A process for each network."""
    started = {name: Worker(engine, source) for name, source in sources.items()}
    try:
        yield started
    finally:
        for worker in started.values():
            worker.stop()


def measure(engine: str, sources: dict[str, Path], options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a batch for each network, and the time of the joint one relative to the two others together."""
    turns = []
    for _ in range(options.starts):
        with workers(engine, sources) as of:
            stated = {name: worker.call("load")[0] for name, worker in of.items()}
            for worker in of.values():
                worker.call("prepare", options.batch_size, options.side, SLICE)
            turns += [{name: worker.call("time") for name, worker in of.items()} for _ in range(options.rounds)]
    milliseconds = {name: 1e3 * median(turn[name] for turn in turns) for name in ARMS}
    return {
        "stated": stated["joint"],
        "milliseconds": {name: round(value, 3) for name, value in milliseconds.items()},
        "share_of_time": share(milliseconds),
        "times_as_fast": round(1 / share(milliseconds), 3),
    }


def share(costs: dict[str, Any]) -> float:
    """The cost of the joint network relative to the two others together."""
    return round(costs["joint"] / (costs["classify"] + costs["restore"]), 4)


def table(figures: dict[str, Any]) -> Table:
    """Multiply-accumulates and times."""
    title = f"recipe {figures['recipe']}, {figures['batch_size']} images of {figures['side']} pixels; at most {MOST} wanted"
    rows = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for heading in ("", *ARMS, "share", "ratio"):
        rows.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    of = figures["macs"]
    rows.add_row("million MACs", *(f"{of[name] / 1e6:.2f}" for name in ARMS), f"{figures['share_of_macs']:.3f}", "")
    for engine, each in figures["engines"].items():
        times = (f"{each['milliseconds'][name]:.2f}" for name in ARMS)
        rows.add_row(f"{engine}, ms", *times, f"{each['share_of_time']:.3f}", f"{each['times_as_fast']:.2f}")
    return rows


if __name__ == "__main__":
    main()
