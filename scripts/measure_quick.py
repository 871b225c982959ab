"""Recipe `quick` with several seeds, each trained for its five minutes, and measured on the test images of track `reference`.

Requires an otherwise idle machine, since the time limit determines the number of steps; not with `--steps`, which stands for another
processor that makes so many steps in float32. Finished runs are kept.

    python scripts/measure_quick.py --seeds 3
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from pellucid import data
from pellucid.checkpoint import load_model
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import evaluate
from pellucid.experiments.statistics import estimate
from pellucid.loader import num_batches
from pellucid.provenance import provenance
from pellucid.recipe import RECIPES, Recipe, changed, settings
from pellucid.run import run
from pellucid.run_folder import LOG
from pellucid.training.log import read_log

RESULTS = Path(__file__).parents[1] / "results"

METRICS = ("accuracy", "psnr", "mask_psnr", "ssim", "ece")


def main() -> None:
    """Train, evaluate, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder for the runs")
    parser.add_argument("--json", type=Path, default=RESULTS / "quick.json")
    parser.add_argument("--steps", type=int, help="train for so many steps in float32, without a time limit")
    options = parser.parse_args()
    base = RECIPES["quick"] if options.steps is None else with_steps(RECIPES["quick"], options.steps)
    test = data.load("cifar10").test
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    trained = []
    for seed in range(options.seeds):
        recipe = replace(base, training=replace(base.training, seed=seed))
        folder = options.out / f"quick-{seed}"
        run(recipe, folder, resume=True, device="cpu")
        network, metadata = load_model(folder, "cpu")
        metrics = evaluate(network, test, TRACKS["reference"], damages=metadata.damages).metrics
        last = read_log(folder / LOG)[-1]
        trained.append({"seed": seed, "trained": metadata.trained, "commit": metadata.commit, "steps": last["step"]})
        for name in METRICS:
            values[name].append(metrics[name])
        print(seed, {name: round(metrics[name], 4) for name in METRICS}, metadata.trained, flush=True)
    result = provenance(["python", "scripts/measure_quick.py", *sys.argv[1:]], torch.device("cpu"))
    result |= {"track": "reference", "split": "test", "num_images": len(test), "seeds": list(range(options.seeds)), "runs": trained}
    result |= {"metrics": {name: asdict(estimate(figures)) for name, figures in values.items()}}
    options.json.write_text(json.dumps(result | {"recipe": settings(base)}, indent=1) + "\n")


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe for a number of steps in float32."""
    epochs = steps / num_batches(len(data.load(recipe.data.dataset).train), recipe.training.batch_size)
    return changed(recipe, {"training.epochs": epochs, "training.max_minutes": 0.0, "training.precision": "32-true"})


if __name__ == "__main__":
    main()
