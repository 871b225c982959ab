"""Peak memory and time of `predict` on one large photograph, of 8 and of 16 bits.

    python benchmarks/predict_memory.py --megapixels 24

Draws a noisy photograph, restores it by the bundled model on the CPU, each depth in its own process, and measures the peak of the resident
memory, torch included. Writes `results/predict-memory.json`.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch

from pellucid.files import atomic_write
from pellucid.inference import predict_files
from pellucid.provenance import provenance

RESULTS = Path(__file__).parents[1] / "results" / "predict-memory.json"


def photograph(megapixels: float, deep: bool) -> np.ndarray:
    """A 3:2 picture of smooth shapes and noise, uint8 or uint16, drawn in strips so that drawing takes little memory."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    random = np.random.default_rng(0)
    pixels = np.empty((height, width, 3), np.uint16 if deep else np.uint8)
    waves = np.sin(np.arange(width) / 97)[:, None] * (1, 0.7, 0.4)
    for top in range(0, height, 256):
        rows = np.sin(np.arange(top, min(top + 256, height)) / 61)[:, None, None]
        strip = 0.5 + 0.2 * rows + 0.2 * waves + 0.05 * random.standard_normal((*rows.shape[:1], width, 3)).astype(np.float32)
        pixels[top : top + 256] = (strip.clip(0, 1) * np.iinfo(pixels.dtype).max).round()
    return pixels


def measure(megapixels: float, number: int, deep: bool) -> dict[str, float]:
    """Seconds of `predict`, and peak memory of this process in GB."""
    with TemporaryDirectory() as folder:
        source = Path(folder, "in")
        source.mkdir()
        for copy in range(number):
            cv2.imwrite(str(source / f"{copy}.png"), photograph(megapixels, deep))
        start = time.perf_counter()
        predict_files([source], Path(folder, "out"), device="cpu")
        seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)}


def main() -> None:
    """Measure 8 and 16 bits, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--number", type=int, default=1, help="how many copies the folder holds")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    figures: dict[str, Any] = {"megapixels": options.megapixels, "number": options.number}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for bits in (8, 16):
            figures[f"{bits} bits"] = pool.submit(measure, options.megapixels, options.number, bits == 16).result()
    print(json.dumps(figures, indent=1))
    with atomic_write(options.out) as path:
        origin = provenance(["python", "benchmarks/predict_memory.py", *sys.argv[1:]], torch.device("cpu"))
        path.write_text(json.dumps(origin | figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
