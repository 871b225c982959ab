"""Make a trained run the bundled model: halve its weights, measure what was stored, and write the card.

python scripts/bundle_model.py runs/base
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console

from pellucid import data
from pellucid.checkpoint import load_model, save_model, source_commit
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import evaluate

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "pellucid" / "bundled"
TRACKS_OF_CARD = ("clean", "reference", "noise", "occlusion", "lowres")


def main() -> None:
    """Bundle the run that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    run = parser.parse_args().run
    test = data.load("cifar10").test
    network, description = load_model(run)
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "model"
        save_model(stored, network, description, torch.float16)
        network, _ = load_model(stored)  # what is measured is what is shipped
    evaluations = [evaluate(network, test, TRACKS[name]) for name in TRACKS_OF_CARD]
    description = replace(description, figures={evaluation.track: evaluation.to_json() for evaluation in evaluations})
    shutil.rmtree(BUNDLED, ignore_errors=True)
    save_model(BUNDLED, network, description, torch.float16)
    for evaluation in evaluations:
        Console().print(evaluation.table())
    result = {
        "command": f"pellucid train --recipe base --out {run} && python scripts/bundle_model.py {run}",
        "trained_at_commit": description.commit,
        "measured_at_commit": source_commit(),
        "device": f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "date": datetime.now(UTC).date().isoformat(),
        "seeds": [description.recipe["training"]["seed"]],
        "tracks": description.figures,
    }
    (ROOT / "results" / "bundled.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
