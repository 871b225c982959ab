"""Compares the fifteen corruptions with the original program of CIFAR-10-C and ImageNet-C.

    python scripts/check_corruptions.py --photographs FOLDER

`results/corruptions.json` holds the original's quartiles of PSNR: on the first 300 test images of CIFAR-10, and on 16 photographs (of all
files in the folder, sorted, every 70th; the shorter side scaled to 256 pixels, centre crop of 224 x 224). This script measures ours
on the same images and writes `results/corruptions.md`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pellucid import data
from pellucid.batch import from_pixels
from pellucid.degradations import CORRUPTIONS, DEGRADATIONS
from pellucid.metrics.psnr import psnr_of
from pellucid.seeding import generator

RESULTS = Path(__file__).parents[1] / "results"

INTRODUCTION = """# The corruptions compared with the original program

PSNR in dB of the corrupted images, median and quartiles over the images, for the original program of CIFAR-10-C and ImageNet-C (its
motion blur by ImageMagick 6.9) and for ours: `python scripts/check_corruptions.py --photographs FOLDER`. Their random numbers differ.
Values are truncated to 8 bits, as in the original. Frost differs: the original adds photographs of frost, ours simulates ice.
"""


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    sources = {"cifar10": data.load("cifar10").test.images[:300], "photographs": photographs(options.photographs)}
    reference = json.loads((RESULTS / "corruptions.json").read_text())
    page = [INTRODUCTION]
    for source, pixels in sources.items():
        page.append(f"## {source}: {len(pixels)} images of {pixels.shape[1]} x {pixels.shape[2]}\n")
        page.append(
            "| corruption | severity | original: median (quartiles) | ours | difference of medians |\n| --- | --- | --- | --- | --- |"
        )
        for name in CORRUPTIONS:
            for severity, theirs in enumerate(reference[source][name], start=1):
                ours = quartiles(name, severity, pixels)
                page.append(f"| {name} | {severity} | {words(theirs)} | {words(ours)} | {ours[1] - theirs[1]:+.2f} |")
        page.append("")
    (RESULTS / "corruptions.md").write_text("\n".join(page))


def quartiles(name: str, severity: int, pixels: NDArray[np.uint8], batch_size: int = 50) -> list[float]:
    """The lower quartile, the median and the upper quartile of the PSNR over images (N, H, W, 3)."""
    random, values = generator("check corruptions", name, severity), []
    for start in range(0, len(pixels), batch_size):
        clean = from_pixels(pixels[start : start + batch_size])
        degraded = DEGRADATIONS[f"{name}_c"].function(clean, torch.full((len(clean),), float(severity)), random)
        values.append(psnr_of((degraded * 255).floor() / 255, clean))
    return [float(value) for value in np.quantile(torch.cat(values).numpy(), (0.25, 0.5, 0.75))]


def photographs(folder: Path) -> NDArray[np.uint8]:
    """The photographs, (16, 224, 224, 3)."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())[::70][:16]
    return np.stack([centre(Image.open(path).convert("RGB")) for path in files])


def centre(picture: Image.Image, scaled: int = 256, side: int = 224) -> NDArray[np.uint8]:
    """Centre crop of a picture after scaling its shorter side."""
    shorter = min(picture.size)
    width, height = (int(scaled * length / shorter) for length in picture.size)
    left, top = (round((length - side) / 2) for length in (width, height))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side)))


def words(values: list[float]) -> str:
    """`25.5 (24.1 to 27.3)`."""
    return f"{values[1]:.2f} ({values[0]:.2f} to {values[2]:.2f})"


if __name__ == "__main__":
    main()
