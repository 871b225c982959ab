"""Trials of the joint design: a few epochs each on 45,000 training images, measured on the other 5,000, track `reference`.

Selects the settings of comparisons, for the single tasks and for the joint network. Trials that are in the results are skipped.

    python scripts/design_trials.py --epochs 3 --jobs 2
"""

import argparse
import json
import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from search import VALIDATION, train_and_measure

RESULTS, TABLE = (Path(__file__).parents[1] / "results" / f"design.{suffix}" for suffix in ("jsonl", "md"))

HEAD = """# Trials of the joint design

Recipe `base`, at a learning rate of 0.13, with the changes named in each row, trained on 45,000 images for {epochs:g} epochs, evaluated on
the other 5,000, track `reference`. Seed 0 unless a row names another: differences under about 0.5 points or 0.03 dB are noise.
`scripts/design_trials.py` lists all settings.

    python scripts/design_trials.py --epochs {epochs:g} --jobs 2

Measured on {devices}.

| trial | accuracy % | PSNR dB | PSNR in the mask dB | million MACs | commit, date |
| --- | --- | --- | --- | --- | --- |
"""


def rates(learning_rate: float) -> dict[str, Any]:
    """A learning rate, with that of scales and biases in proportion; output layers keep theirs."""
    return {"training.learning_rate": learning_rate, "training.fallback_learning_rate": round(learning_rate * 4 / 13, 4)}


FEW_LABELS = {"data.labels": 5000, "data.unlabelled": False, "training.epochs": 27}
"""As many steps on 5,000 images as three epochs of 45,000."""

TRIALS: dict[str, dict[str, Any]] = {
    "classify": {"arm": "classify"},
    "restore": {"arm": "restore"},
    "joint, lambda 4": {},
    "joint-equal, lambda 4": {"arm": "joint-equal"},
    "joint, lambda 3": {"objective.weight": 3.0},
    "joint, lambda 2": {"objective.weight": 2.0},
    "joint, lambda 4, rate 0.17": {**rates(0.17)},
    "joint, lambda 4, rate 0.24": {**rates(0.24)},
    "joint, lambda 5, rate 0.17": {"objective.weight": 5.0, **rates(0.17)},
    "joint, lambda 4, rate 0.17, last stage of 232": {"model.encoder.widths": (48, 96, 232), **rates(0.17)},
    "joint, lambda 4, rate 0.17, widths 48, 128, 208": {"model.encoder.widths": (48, 128, 208), **rates(0.17)},
    "joint, lambda 4, seed 1": {"training.seed": 1},
    "joint, lambda 4, rate 0.17, seed 1": {"training.seed": 1, **rates(0.17)},
    "classify, rate 0.17": {"arm": "classify", **rates(0.17)},
    "restore, rate 0.17": {"arm": "restore", **rates(0.17)},
    "classify, rate 0.08": {"arm": "classify", **rates(0.08)},
    "restore, rate 0.08": {"arm": "restore", **rates(0.08)},
    "joint, lambda 4, the classes to the decoder": {"model.decoder.condition_on_class": True},
    "joint, lambda 4, the damage to the decoder": {"model.decoder.condition_on_damage": True},
    "joint, lambda 4, a block in the decoder": {"model.decoder.blocks": 1},
    "joint, lambda 4, 24 channels of detail": {"model.decoder.detail_width": 24},
    "joint, lambda 4, last stage of 232": {"model.encoder.widths": (48, 96, 232)},
    "joint, lambda 4, last stage of 216, 24 channels of detail": {
        "model.encoder.widths": (48, 96, 216),
        "model.decoder.detail_width": 24,
    },
    "joint, lambda 4, rate 0.17, last stage of 216, 24 channels of detail": {
        **rates(0.17),
        "model.encoder.widths": (48, 96, 216),
        "model.decoder.detail_width": 24,
    },
    "restore, 24 channels of detail": {"arm": "restore", "model.decoder.detail_width": 24},
    "joint, lambda from 12 to 1.3, rate 0.17": {"weights": (12.0, 1.3), **rates(0.17)},
    "joint, lambda from 1.3 to 12, rate 0.17": {"weights": (1.3, 12.0), **rates(0.17)},
    "joint, lambda 4, rate 0.17, a clean teacher": {"objective.distillation": 1.0, **rates(0.17)},
    "classify, a clean teacher": {"arm": "classify", "after": {"objective.distillation": 1.0}},
    "classify, 5,000 labelled images alone": {"arm": "classify", **FEW_LABELS},
    "classify, 5,000 labelled images alone, rate 0.08": {"arm": "classify", **FEW_LABELS, **rates(0.08)},
    "classify, 5,000 labelled images alone, rate 0.17": {"arm": "classify", **FEW_LABELS, **rates(0.17)},
    "joint, lambda 4, the last stage shared": {"model.decoder.last_stage": "shared"},
}
"""Changes of recipe `base`; arm: of the comparison `reference`; after: changes of the arm; weights: lambda at the start and at the end."""


def main() -> None:
    """Run the trials that are not in the results, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time, one thread each")
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), help="these trials alone")
    options = parser.parse_args()
    done = {(trial["name"], trial["epochs"]) for trial in _read()}
    waiting = [name for name in options.only or TRIALS if (name, options.epochs) not in done]
    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for future in as_completed([pool.submit(run_trial, name, options.epochs) for name in waiting]):
            print(line := json.dumps(future.result()), flush=True)
            with RESULTS.open("a") as file:
                file.write(line + "\n")
            write_table(options.epochs)


def run_trial(name: str, epochs: float) -> dict[str, Any]:
    """Train and evaluate a trial."""
    import torch

    from pellucid.experiments.comparison import REFERENCE
    from pellucid.experiments.cost import macs_of
    from pellucid.provenance import provenance
    from pellucid.recipe import RECIPES, changed

    changes = dict(TRIALS[name])
    arm, weights, after = changes.pop("arm", "joint"), changes.pop("weights", None), changes.pop("after", {})
    base = changed(RECIPES["base"], {**rates(0.13), "data.validation": VALIDATION, "training.epochs": epochs, **changes})
    recipe = changed(REFERENCE[arm].change(base), after)
    if weights:
        _vary_weight(*weights)
    metrics, seconds = train_and_measure(recipe)
    return {
        "name": name,
        "epochs": epochs,
        "seed": recipe.training.seed,
        "mmacs": round(macs_of(recipe) / 1e6, 2),
        "seconds": round(seconds),
        **metrics,
        **provenance(["python", "scripts/design_trials.py", "--epochs", f"{epochs:g}"], torch.device("cpu")),
    }


def _vary_weight(first: float, last: float) -> None:
    """Interpolate lambda between two values over the training of this process, linearly in its logarithm."""
    from pellucid.training import loop

    joint_loss = loop.joint_loss

    def varied(output: Any, batch: Any, config: Any, teacher: Any = None, progress: float = 1.0) -> Any:
        weight = math.exp((1 - progress) * math.log(first) + progress * math.log(last))
        return joint_loss(output, batch, replace(config, weight=weight), teacher, progress)

    loop.joint_loss = varied


def _read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def write_table(epochs: float) -> None:
    """The results of one length as a page, in the order of the trials."""
    order = {name: position for position, name in enumerate(TRIALS)}
    trials = sorted((trial for trial in _read() if trial["epochs"] == epochs), key=lambda trial: order.get(trial["name"], len(order)))
    rows = [
        f"| {trial['name']} | {_cell(trial, 'accuracy')} | {_cell(trial, 'psnr')} | {_cell(trial, 'mask_psnr')} | {trial['mmacs']} "
        f"| {trial['commit']}, {trial['date']} |\n"
        for trial in trials
    ]
    TABLE.write_text(HEAD.format(epochs=epochs, devices="; ".join(sorted({trial["device"] for trial in trials}))) + "".join(rows))


def _cell(trial: dict[str, Any], metric: str) -> str:
    return f"{trial[metric]:.2f}" if trial.get(metric) is not None else "-"


if __name__ == "__main__":
    main()
