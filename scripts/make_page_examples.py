"""Write `src/pellucid/serving/examples.png`: the first test picture of every CIFAR-10 class side by side, undamaged.

python scripts/make_page_examples.py
"""

from pathlib import Path

import numpy as np

from pellucid import data
from pellucid.pictures import write

STRIP = Path(__file__).parents[1] / "src" / "pellucid" / "serving" / "examples.png"


def main() -> None:
    """Write the strip, in the order of the classes."""
    test = data.load("cifar10").test
    indices = [int(np.flatnonzero(test.labels == label)[0]) for label in range(len(test.classes))]
    write(STRIP, np.concatenate(list(test.images[indices]), axis=1))


if __name__ == "__main__":
    main()
