"""The speed of `predict` on a folder of small pictures, as a part of the bare network's, and the growth of its memory.

    python benchmarks/predict_stream.py --number 20000

Draws pictures, restores them by the bundled model, and compares with forwards over the same number of pictures that are in memory.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from pellucid import Predictor
from pellucid.inference import predict_files


def resident() -> float:
    """Resident memory now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def bare_speed(side: int, number: int) -> float:
    """Pictures a second of the network alone, in batches of 64."""
    predictor = Predictor.load(device="cpu")
    images = np.random.default_rng(0).random((64, 3, side, side), np.float32)
    predictor.backend(images)
    start = time.perf_counter()
    for _ in range(number // 64):
        predictor.backend(images)
    return number // 64 * 64 / (time.perf_counter() - start)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=32)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        source = Path(folder, "in")
        source.mkdir()
        for number in range(arguments.number):
            shape = (arguments.side, arguments.side, 3)
            Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(source / f"{number:06}.png", compress_level=1)
        before = bare_speed(arguments.side, min(arguments.number, 6400))
        memory: list[float] = []

        def watch(done: int, total: int) -> None:
            if done % max(1, total // 10) == 0:
                memory.append(resident())

        start = time.perf_counter()
        summary = predict_files([source], Path(folder, "out"), device="cpu", progress=watch)
        speed = arguments.number / (time.perf_counter() - start)
        after = bare_speed(arguments.side, min(arguments.number, 6400))  # machines drift
    bare = (before + after) / 2
    print(f"{summary.num_pictures:,} pictures of {arguments.side} x {arguments.side}: {speed:.0f} a second, loading the model included")
    print(f"bare network {bare:.0f} a second: {speed / bare:.2f} of it")
    print(f"memory in MB at each tenth: {' '.join(f'{each:.0f}' for each in memory)}")


if __name__ == "__main__":
    main()
