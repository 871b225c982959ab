"""Write `examples/`: the first test picture of every CIFAR-10 class with the damage of track `reference`.

python scripts/make_examples.py
"""

from pathlib import Path

import numpy as np

from pellucid import data
from pellucid.batch import to_pixels
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import load_batch
from pellucid.pictures import write

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Write a PNG for each class, named after it."""
    test, track = data.load("cifar10").test, TRACKS["reference"]
    for label, name in enumerate(test.classes):
        index = int(np.flatnonzero(test.labels == label)[0])
        write(EXAMPLES / f"{name}.png", to_pixels(load_batch(test, track, track.levels[0], [index]).degraded)[0])


if __name__ == "__main__":
    main()
