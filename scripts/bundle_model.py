"""Makes a trained run the bundled model: converts its weights to float16, evaluates the predictions of the stored model, writes its card.

python scripts/bundle_model.py runs/base
python scripts/bundle_model.py bundled    # measure the bundled model again
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from pellucid import data
from pellucid.checkpoint import ModelMetadata, load_model, save_model
from pellucid.degradations import SUITES, Mixture
from pellucid.evaluation import TRACKS
from pellucid.evaluation.calibration import as_predicted, calibrate
from pellucid.evaluation.evaluate import evaluate
from pellucid.provenance import provenance
from pellucid.recipe import DataConfig, completed

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "src" / "pellucid" / "bundled"
TRACKS_OF_CARD = ("clean", "reference", "noise", "occlusion", "lowres", "jpeg", "blur", "contents", "everyday")


def main() -> None:
    """Bundle a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a finished run, or 'bundled'")
    run = parser.parse_args().run
    result = provenance(["python", "scripts/bundle_model.py", run], torch.device("cpu"))  # before the files are others
    test = data.load("cifar10").test
    network, metadata = load_model(run, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "model"
        save_model(stored, network, metadata, torch.float16)
        network, _ = load_model(stored, "cpu")  # what is measured is what is shipped
    metadata = fitted(network, metadata)
    evaluations = []
    for name in TRACKS_OF_CARD:
        evaluations.append(evaluate(as_predicted(network, metadata), test, TRACKS[name], damages=metadata.damages))
        Console().print(evaluations[-1].table())
    metadata = replace(metadata, figures={evaluation.track: evaluation.to_json() | {"raw": False} for evaluation in evaluations})
    shutil.rmtree(BUNDLED, ignore_errors=True)
    save_model(BUNDLED, network, metadata, torch.float16)
    result |= {"trained": metadata.trained, "trained_at_commit": metadata.commit, "seeds": [metadata.recipe["training"]["seed"]]}
    result |= {"recipe": metadata.recipe, "tracks": metadata.figures}
    (ROOT / "results" / "bundled.json").write_text(json.dumps(result, indent=1) + "\n")


def fitted(network: nn.Module, metadata: ModelMetadata) -> ModelMetadata:
    """The metadata with temperature, gate and least evidence as they are fitted today."""
    recipe = completed(metadata.recipe)
    damage = recipe["damage"]
    suite = SUITES[damage] if isinstance(damage, str) else Mixture(damage["weights"])
    return replace(metadata, **calibrate(network, DataConfig(**recipe["data"]).splits(), suite)._asdict())


if __name__ == "__main__":
    main()
