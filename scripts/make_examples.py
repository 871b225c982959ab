"""Write `examples/`: the first test picture of every CIFAR-10 class as track `reference` damages it.

python scripts/make_examples.py
"""

from pathlib import Path

import numpy as np
import torch

from pellucid import data
from pellucid.evaluation import TRACKS
from pellucid.evaluation.tracks import damage
from pellucid.pictures import write

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Write a PNG for each class, named after it."""
    test, track = data.load("cifar10").test, TRACKS["reference"]
    for label, name in enumerate(test.classes):
        place = int(np.flatnonzero(test.labels == label)[0])
        clean = torch.tensor(test.images[place]).permute(2, 0, 1)[None].float() / 255
        degraded, _ = damage(track, track.levels[0], clean, [place])
        write(EXAMPLES / f"{name}.png", degraded[0].mul(255).round().byte().permute(1, 2, 0).numpy())


if __name__ == "__main__":
    main()
