"""Peak memory and time of `predict` on one large photograph.

    python benchmarks/predict_memory.py --megapixels 24

Draws a noisy photograph, restores it by the bundled model on the CPU, and prints the peak of the resident memory, torch included.
"""

import argparse
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from pellucid.inference import predict_files


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


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--deep", action="store_true", help="16 bits instead of 8")
    parser.add_argument("--number", type=int, default=1, help="how many copies the folder holds")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        source = Path(folder, "in")
        source.mkdir()
        for number in range(arguments.number):
            cv2.imwrite(str(source / f"{number}.png"), photograph(arguments.megapixels, arguments.deep))
        start = time.perf_counter()
        summary = predict_files([source], Path(folder, "out"), device="cpu")
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    depth = 16 if arguments.deep else 8
    print(f"{summary.num_pictures} x {arguments.megapixels:g} megapixels of {depth} bits: {seconds:.1f} s, at most {peak:.2f} GB")


if __name__ == "__main__":
    main()
