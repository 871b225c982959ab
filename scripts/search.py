"""Searches for the best recipe at a fixed amount of arithmetic, on validation images.

Every trial trains on 45,000 images for the number of steps of its budget, and is evaluated on the other 5,000. Trials that are in the
results are skipped, so that the same command resumes.

    python scripts/search.py --tflop 30 --jobs 2
"""

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.recipe import Recipe

ROOT = Path(__file__).parents[1]
RESULTS, TABLE = ROOT / "results" / "search.jsonl", ROOT / "results" / "search.md"

VALIDATION, TRAINED_ON = 5_000, 45_000

HEAD = """Every trial changes recipe `base`, or `quick`, as listed in `scripts/search.py`, trains on 45,000 images for the steps of its
budget, and is evaluated on the other 5,000, track `reference`. One seed each: differences under about 0.5 points or 0.03 dB
are noise.
`quick` had the widths 24, 80, 160 and, if the trial names no lambda, lambda 1.5 at that time; see the commits.
`context`: channels of a separate last stage for the restorer, 96 in `base` at that time; it had no benefit and was removed.

    python scripts/search.py --tflop 30 --jobs 2"""

TRIALS: dict[str, dict[str, Any]] = {
    "base": {},
    "widths 64, 128, 256": {"model.encoder.widths": (64, 128, 256)},
    "lambda 1.5": {"objective.weight": 1.5},
    "widths 32, 96, 192": {"model.encoder.widths": (32, 96, 192)},
    "rate 0.18": {"training.learning_rate": 0.18},
    "batch 64": {"training.batch_size": 64, "training.learning_rate": 0.09, "training.fallback_learning_rate": 0.028},
    "lambda 1.5, widths 40, 80, 160": {"objective.weight": 1.5, "model.encoder.widths": (40, 80, 160)},
    "widths 32, 96, 192, lambda 1.5, no context": {"objective.weight": 1.5, "model.encoder.widths": (32, 96, 192)},
    "widths 24, 80, 160, lambda 1.5, no context": {"objective.weight": 1.5, "model.encoder.widths": (24, 80, 160)},
    "widths 32, 96, 192, lambda 0.75, no context, detail 8": {
        "objective.weight": 0.75,
        "model.encoder.widths": (32, 96, 192),
        "model.decoder.detail_width": 8,
    },
    "widths 32, 64, 160, lambda 1.5, no context": {"objective.weight": 1.5, "model.encoder.widths": (32, 64, 160)},
    "widths 32, 96, 192, lambda 1.5, no context, batch 64": {
        "objective.weight": 1.5,
        "model.encoder.widths": (32, 96, 192),
        "training.batch_size": 64,
        "training.learning_rate": 0.1,
        "training.fallback_learning_rate": 0.03,
    },
    "quick": {"recipe": "quick"},
    "quick, rate 0.18": {"recipe": "quick", "training.learning_rate": 0.18, "training.fallback_learning_rate": 0.055},
    "quick, no label smoothing": {"recipe": "quick", "objective.label_smoothing": 0.0},
    "quick, widths 24, 64, 192": {"recipe": "quick", "model.encoder.widths": (24, 64, 192)},
    "quick, no crop": {"recipe": "quick", "training.crop": 0},
    "quick, lambda 1": {"recipe": "quick", "objective.weight": 1.0},
    "quick, lambda 0.7": {"recipe": "quick", "objective.weight": 0.7},
    # A first stage of 32 channels takes no more time in bfloat16 than one of 24: these trials have about as much time, not arithmetic.
    "quick, lambda 1, widths 32, 80, 160": {"recipe": "quick", "objective.weight": 1.0, "model.encoder.widths": (32, 80, 160)},
    "quick, lambda 1, widths 32, 96, 192": {"recipe": "quick", "objective.weight": 1.0, "model.encoder.widths": (32, 96, 192)},
    "quick, warm-up 0.3": {"recipe": "quick", "training.warmup": 0.3},
    "quick, widths 32, 96, 192, batch 256": {
        "recipe": "quick",
        "model.encoder.widths": (32, 96, 192),
        "training.batch_size": 256,
        "training.shards": 2,
    },
    "quick, widths 32, 96, 192, batch 256, rate 0.18": {
        "recipe": "quick",
        "model.encoder.widths": (32, 96, 192),
        "training.batch_size": 256,
        "training.shards": 2,
        "training.learning_rate": 0.18,
        "training.fallback_learning_rate": 0.055,
    },
    "small images first, 0.5": {"training.small_images": 0.5},
    "whole batches": {"training.shards": 1},
    "warm-up 0.25": {"training.warmup": 0.25},
    "widths 48, 128, 256": {"model.encoder.widths": (48, 128, 256)},
    "depths 1, 2, 1": {"model.encoder.depths": (1, 2, 1)},
    "no damage head": {"model.damage_head": False},
    "no label smoothing": {"objective.label_smoothing": 0.0},
    "crop 4": {"training.crop": 4},
    "cosine": {"training.schedule": "cosine"},
}
"""Changes of recipe `base`, or of the named one, in each trial."""


def main() -> None:
    """Run the trials that are not in the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflop", type=float, default=30, help="arithmetic of one trial, in 10^12 operations")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time, one thread each")
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), help="these trials alone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    done = {(trial["name"], trial["tflop"], trial["seed"]) for trial in map(json.loads, lines)}
    waiting = [name for name in options.only or TRIALS if (name, options.tflop, options.seed) not in done]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        futures = [pool.submit(run_trial, name, TRIALS[name], options.tflop, options.seed) for name in waiting]
        for future in as_completed(futures):
            result = future.result()
            print(json.dumps(result), flush=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
    write_table()


def write_table() -> None:
    """The results as a page: for each budget a table, the trials in their order, each against recipe `base` of the same seed."""
    trials = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    order = {name: position for position, name in enumerate(TRIALS)}
    lines = ["# Search under a fixed amount of arithmetic", "", HEAD]
    for tflop, seed in sorted({(trial["tflop"], trial["seed"]) for trial in trials}):
        rows = sorted(
            (trial for trial in trials if (trial["tflop"], trial["seed"]) == (tflop, seed)),
            key=lambda trial: order.get(trial["name"], len(order)),
        )
        devices = sorted({trial["device"] for trial in rows})
        lines += ["", f"## {tflop:g} TFLOP, seed {seed}", "", f"Measured on {'; '.join(devices)}.", ""]
        lines += [
            "| trial | million MACs | epochs | accuracy % | PSNR dB | PSNR in the mask dB | ECE | commit, date |",
            "| --- |" + " --- |" * 7,
        ]
        lines += [
            f"| {trial['name']} | {trial['mmacs']} | {trial['epochs']:.2f} | {trial['accuracy']:.2f} | {trial['psnr']:.2f} "
            f"| {trial['mask_psnr']:.2f} | {trial['ece']:.3f} | {trial['commit']}, {trial['date']} |"
            for trial in rows
        ]
    TABLE.write_text("\n".join(lines) + "\n")


def run_trial(name: str, changes: Mapping[str, Any], tflop: float, seed: int) -> dict[str, Any]:
    """Train a trial within its budget, and evaluate it."""
    import torch

    from pellucid.experiments.cost import TRAINING_FLOP_PER_MAC, macs_of
    from pellucid.provenance import provenance
    from pellucid.recipe import RECIPES, changed
    from pellucid.training.loop import SMALL_SCALE

    settings = {"data.validation": VALIDATION, "training.seed": seed, "training.max_minutes": 0.0, **changes}
    recipe = RECIPES[settings.pop("recipe", "base")]
    recipe = changed(recipe, settings)
    macs = macs_of(recipe)
    small = recipe.training.small_images
    epochs = tflop * 1e12 / (TRAINING_FLOP_PER_MAC * macs * TRAINED_ON * (1 - small + small * SMALL_SCALE**2))
    metrics, seconds = train_and_measure(replace(recipe, training=replace(recipe.training, epochs=epochs)))
    return {
        "name": name,
        "tflop": tflop,
        "seed": seed,
        "changes": {key: list(value) if isinstance(value, tuple) else value for key, value in changes.items()},
        "mmacs": round(macs / 1e6, 2),
        "epochs": round(epochs, 3),
        "gflops_per_second": round(tflop * 1e3 / seconds, 1),
        **metrics,
        **provenance(["python", "scripts/search.py", "--tflop", f"{tflop:g}"], torch.device("cpu")),
    }


def train_and_measure(recipe: "Recipe") -> tuple[dict[str, float], float]:
    """Figures of a recipe on its validation images, track `reference`, and the seconds that it trained; on one thread."""
    import torch

    from pellucid.evaluation import TRACKS
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.run import run
    from pellucid.training.log import read_log

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        network, metadata = run(recipe, Path(folder), device="cpu")
        seconds = read_log(Path(folder) / "log.jsonl")[-1]["seconds"]
    metrics = evaluate(network, recipe.data.splits().measured, TRACKS["reference"], damages=metadata.damages).metrics
    return {key: metrics[key] for key in ("accuracy", "psnr", "mask_psnr", "ece") if key in metrics}, seconds


if __name__ == "__main__":
    main()
