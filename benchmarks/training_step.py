"""Efficiency of a training step relative to the rate of a large float32 matrix product, measured between the steps.

    python benchmarks/training_step.py --recipes quick base

The efficiency is the arithmetic of the network over the time of the whole step, including data and optimiser, relative to that rate:
medians of one run. Requires an otherwise idle machine. Results go to `results/training-step.json`."""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from pellucid.batch import Batch
from pellucid.experiments.cost import TRAINING_FLOP_PER_MAC, macs_of
from pellucid.loader import TrainLoader
from pellucid.provenance import provenance
from pellucid.recipe import RECIPES, Recipe
from pellucid.run import run
from pellucid.training.loop import Trainer

RESULTS = Path(__file__).parents[1] / "results" / "training-step.json"

SIDE = 2048
"""Size of the square matrices of the product."""

WARM_UP = 3
"""Number of warm-up steps."""

Times = dict[str, list[float]]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=["quick", "base"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measured = {name: measure(RECIPES[name], options.steps) for name in options.recipes}
    table = Table(title=f"A training step, {options.threads} threads")
    for heading in ("recipe", "images/s", "GFLOP/s", "limit", "share %", "data ms", "forward ms", "backward ms", "optimiser ms", "rest ms"):
        table.add_column(heading, justify="left" if heading == "recipe" else "right")
    for name, row in measured.items():
        stages = [f"{row['milliseconds'][stage]:.1f}" for stage in ("data", "forward", "backward", "optimiser", "rest")]
        table.add_row(
            name,
            f"{row['images_per_second']:.0f}",
            f"{row['gflops_per_second']:.1f}",
            f"{row['limit_gflops_per_second']:.1f}",
            f"{100 * row['share']:.1f}",
            *stages,
        )
    Console(width=140).print(table)
    origin = provenance(["python", "benchmarks/training_step.py", *sys.argv[1:]], torch.device("cpu"))
    RESULTS.write_text(json.dumps(origin | {"threads": options.threads, "recipes": measured}, indent=1) + "\n")


def measure(recipe: Recipe, num_steps: int) -> dict[str, Any]:
    """Measure one recipe in a short training."""
    size = recipe.training.batch_size
    limit = (num_steps + WARM_UP) * size
    training = replace(recipe.training, epochs=1, max_minutes=0, save_minutes=1e6)
    recipe = replace(recipe, data=replace(recipe.data, limit=limit), training=training)
    with tempfile.TemporaryDirectory() as folder, timers() as times:
        run(recipe, Path(folder), device="cpu")
    counted = {stage: values[WARM_UP:] for stage, values in times.items()}
    milliseconds = {stage: 1e3 * median(values) for stage, values in counted.items()}
    step = milliseconds.pop("step") + milliseconds["data"]
    network = milliseconds.pop("network")
    milliseconds["backward"] = network - milliseconds["forward"]
    limit_rate = 2e-9 * SIDE**3 / (1e-3 * milliseconds.pop("limit"))
    milliseconds["rest"] = step - network - milliseconds["data"] - milliseconds["optimiser"]
    flop = TRAINING_FLOP_PER_MAC * macs_of(recipe) * size
    rate = flop / (1e-3 * step) / 1e9
    return {
        "images_per_second": round(1e3 * size / step, 1),
        "gflops_per_second": round(rate, 2),
        "limit_gflops_per_second": round(limit_rate, 2),
        "share": round(rate / limit_rate, 4),
        "mflop_per_image": round(flop / size / 1e6, 1),
        "batch_size": size,
        "steps": num_steps,
        "milliseconds": {stage: round(value, 2) for stage, value in milliseconds.items()},
    }


@contextmanager
def timers() -> Iterator[Times]:
    """Context manager: record the duration of the stages of training steps in seconds, and of a matrix product between steps."""
    times: Times = defaultdict(list)
    square = torch.rand(SIDE, SIDE)
    epoch, train_step, average = TrainLoader.epoch, Trainer._train_step, Trainer._update_average
    backward, backward_in_shards, compares = Trainer._backward, Trainer._backward_in_shards, Trainer._compares_gradients

    def timed_epoch(self: TrainLoader, *arguments: int) -> Iterator[Batch]:
        batches = epoch(self, *arguments)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            if len(batch) > 8:  # not the examples that are shown
                times["data"].append(time.perf_counter() - started)
            yield batch

    def timed_step(self: Trainer, *arguments: Any) -> None:
        started = time.perf_counter()
        torch.mm(square, square)
        times["limit"].append(time.perf_counter() - started)
        if not times["step"]:
            self.optimizer.step = timed(self.optimizer.step, times["optimiser"])
            networks = [self.raw_model] if self.shards is None else self.shards.replicas
            for network in networks:
                network.forward = timed(network.forward, forwards)
        forwards.clear()
        started = time.perf_counter()
        train_step(self, *arguments)
        times["step"].append(time.perf_counter() - started)
        times["forward"].append(sum(forwards) / len(forwards))

    def timed_average(self: Trainer, advance: float) -> None:
        started = time.perf_counter()
        average(self, advance)
        times["step"][-1] += time.perf_counter() - started

    forwards: list[float] = []
    TrainLoader.epoch, Trainer._train_step, Trainer._update_average = timed_epoch, timed_step, timed_average
    Trainer._backward, Trainer._backward_in_shards = (timed(each, times["network"]) for each in (backward, backward_in_shards))
    # Comparing the tasks' gradients, twenty times a training, would weigh more in a short one than in a whole one.
    Trainer._compares_gradients = lambda *_: False
    try:
        yield times
    finally:
        TrainLoader.epoch, Trainer._train_step, Trainer._update_average = epoch, train_step, average
        Trainer._backward, Trainer._backward_in_shards, Trainer._compares_gradients = backward, backward_in_shards, compares


def timed(function: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    """Wrap a function to record the duration of each call."""

    def call(*arguments: Any, **settings: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments, **settings)
        into.append(time.perf_counter() - started)
        return result

    return call


if __name__ == "__main__":
    main()
