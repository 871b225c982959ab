"""How many pictures of other subjects the bundled model finds unlike its training images.

    python scripts/measure_unfamiliar.py FOLDER...

The threshold is that of a twentieth of the first test images of CIFAR-10 on track `everyday`: the bundled model has no held-out images.
Pictures of folders, at most 300 of each, evenly spaced, are scaled down as `predict` does. Prints a row of a Markdown table for each.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid import data, pictures
from pellucid.batch import from_pixels
from pellucid.checkpoint import load_model
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import load_batch
from pellucid.models.evidence import QUANTILE, evidence_of
from pellucid.models.overview import scale_down

NUM_IMAGES, MOST = 1500, 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args()
    network, metadata = load_model("bundled", "cpu")
    test = data.load("cifar10").test

    def of_track(name: str) -> NDArray[np.float64]:
        track = TRACKS[name]
        return evidence(network, load_batch(test, track, track.levels[0], range(NUM_IMAGES)).degraded)

    own = of_track("everyday")
    sets = {f"test images, track `{name}`": of_track(name) for name in ("everyday", "clean", "art")}
    sets["drawn shapes"] = evidence(network, from_pixels(data.load("shapes").test.images[:]))
    uniform = torch.Generator().manual_seed(0)
    sets["uniform noise"] = evidence(network, torch.rand(300, 3, 32, 32, generator=uniform))
    sets["pictures of one colour"] = evidence(network, torch.rand(300, 3, 1, 1, generator=uniform).expand(-1, -1, 32, 32).contiguous())
    for folder in options.folders:
        paths = list(pictures.find([folder]))
        chosen = [pictures.read(paths[index]) for index in np.unique(np.linspace(0, len(paths) - 1, MOST).round().astype(int))]
        scaled = [from_pixels(scale_down(picture[None], metadata.image_size)) for picture in chosen]
        sets[folder.name] = np.concatenate([evidence(network, image) for image in scaled])
    least = float(np.quantile(own, QUANTILE))
    for name, values in sets.items():
        area = (np.searchsorted(np.sort(values), own, "left") + np.searchsorted(np.sort(values), own, "right")).mean() / 2 / len(values)
        print(f"| {len(values):,}: {name} | {100 * (values < least).mean():.1f} % | {area:.3f} |")


@torch.inference_mode()
def evidence(network: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Of images (B, 3, H, W)."""
    return np.concatenate([evidence_of(network(part).logits.float().numpy()) for part in images.split(100)])


if __name__ == "__main__":
    main()
