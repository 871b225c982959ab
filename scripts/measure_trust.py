"""Measures the reliability of the bundled model, and writes results/trust.json.

python scripts/measure_trust.py --limit 2000
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch
from bundle_model import fitted

from pellucid import data
from pellucid.checkpoint import load_model
from pellucid.data import hold_out
from pellucid.degradations import SUITES
from pellucid.evaluation import TRACKS
from pellucid.evaluation.calibration import calibrate
from pellucid.evaluation.trust import measure_trust
from pellucid.provenance import provenance

RESULT = Path(__file__).parents[1] / "results" / "trust.json"


def main() -> None:
    """Evaluate on the first test images of track `everyday`, with the model's temperature and with one fitted on training images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--limit", type=int, default=2000, help="test images")
    requested = parser.parse_args()
    network, metadata = load_model(requested.model, "cpu")
    metadata = fitted(network, metadata)
    splits = data.load("cifar10")
    trust = measure_trust(network, metadata, splits.test, TRACKS["everyday"], limit=requested.limit)
    train, seen = hold_out(splits.train, 1000)  # images that this model has trained on
    by_heart = calibrate(network, replace(splits, train=train, validation=seen), SUITES["everyday"]).temperature
    columns = trust.columns | {"confidence": _confidence(network, splits.test, requested.limit, by_heart)}
    result = provenance(["python", *sys.argv], torch.device("cpu")) | {"model": requested.model, "trained": metadata.trained}
    result |= {"temperature": metadata.temperature, "gate": metadata.gate and asdict(metadata.gate), "fitted": metadata.fitted}
    result |= {"trust": trust.to_json()}
    result |= {"temperature_on_trained_images": replace(trust, temperature=by_heart, columns=columns).confidence()}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(f"{shlex.quote(str(RESULT))}\n")


@torch.inference_mode()
def _confidence(network: torch.nn.Module, dataset: data.Dataset, limit: int, temperature: float) -> torch.Tensor:
    """(N,) the confidence on track `everyday` at another temperature."""
    from pellucid.evaluation.evaluate import batches

    track = TRACKS["everyday"]
    parts = [network(batch.degraded).logits for batch in batches(dataset, track, track.levels[0], limit, 250)]
    return (torch.cat(parts) / temperature).softmax(dim=1).amax(dim=1)


if __name__ == "__main__":
    main()
