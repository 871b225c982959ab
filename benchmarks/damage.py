r"""Images per second of the degradations on one core, against albumentations 2.0.8 for the same operations.

    pip install --target /tmp/albumentations --no-deps albumentations==2.0.8 albucore==0.0.24 stringzilla simsimd \
        pydantic pydantic-core annotated-types typing-inspection   # 2.0.8 is its last release under the MIT licence
    PYTHONPATH=/tmp/albumentations python benchmarks/damage.py

Each library gets its native input: ours batches of float32, albumentations single images, as uint8 with a quarter of the memory, and as
float32 if supported. The strengths are from the same range; albumentations samples its own, the same in every turn. Both take turns, of as
many images, and the fastest turn of each counts, in CPU time. Requires an otherwise idle machine. Notes state where the two operations
differ. Results go to `results/damage-speed.json`.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}

import albumentations as A
import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pellucid.degradations import DEGRADATIONS
from pellucid.provenance import provenance
from pellucid.seeding import generator
from pellucid.training.memory import keep_memory

RESULTS = Path(__file__).parents[1] / "results" / "damage-speed.json"

BATCH = {32: 128, 224: 8}
"""Batch size by side of the images in pixels."""

DRAWS = 32
"""Minimum number of images of a turn, to average over the random strengths of albumentations."""


class Pair(NamedTuple):
    """An operation of both: the row of `DEGRADATIONS`, its strengths, albumentations' transform, and how they differ."""

    name: str
    low: float
    high: float
    transform: A.BasicTransform
    note: str = ""


def pairs(side: int) -> list[Pair]:
    """The operations that both libraries have, with strengths for images of 32 or of 224 pixels."""
    small = side == 32
    radius, length, blur = ((1, 3), (3, 7), (0.4, 1)) if small else ((3, 10), (7, 15), (1, 6))
    glass = {"sigma": 0.4, "max_delta": 1, "iterations": 1} if small else {"sigma": 1.0, "max_delta": 2, "iterations": 3}
    zoom = {"max_factor": (1.15, 1.15), "step_factor": (0.01, 0.01)} if small else {"max_factor": (1.2, 1.2), "step_factor": (0.02, 0.02)}
    elastic = {"alpha": 0.08 * 32, "sigma": 0.06 * 32} if small else {"alpha": 0.05 * 244, "sigma": 0.01 * 244}
    blocks = 0.85 if small else 0.4
    bicubic = {"downscale": cv2.INTER_CUBIC, "upscale": cv2.INTER_CUBIC}
    smooth = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_CUBIC}
    boxes = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST}
    hole = {"hole_height_range": (0.1, 0.25), "hole_width_range": (0.1, 0.25)}
    return [
        Pair("gaussian_noise", 0.02, 0.2, A.GaussNoise(std_range=(0.02, 0.2), p=1)),
        Pair("poisson_noise", 10, 100, A.ShotNoise(scale_range=(0.01, 0.1), p=1)),
        Pair("impulse_noise", 0.01, 0.2, A.SaltAndPepper(amount=(0.01, 0.2), p=1)),
        Pair("gaussian_blur", *blur, A.GaussianBlur(blur_limit=0, sigma_limit=blur, p=1), "theirs cut off at 3.5 sigma, ours at 4"),
        Pair("defocus_blur", *radius, A.Defocus(radius=radius, alias_blur=(0.1, 0.5), p=1)),
        Pair("motion_blur", *length, A.MotionBlur(blur_limit=length, p=1), "theirs a line of whole pixels, ours antialiased"),
        Pair("zoom_blur_c", 3, 3, A.ZoomBlur(**zoom, p=1)),
        Pair("glass_blur_c", 3, 3, A.GlassBlur(**glass, mode="fast", p=1)),
        Pair(
            "elastic_transform_c",
            3,
            3,
            A.ElasticTransform(**elastic, border_mode=cv2.BORDER_REFLECT_101, p=1),
            "theirs reads positions in steps of 1/32 pixel, without the affine map of ours",
        ),
        Pair("fog", 0.5, 3, A.RandomFog(fog_coef_range=(0.3, 1), p=1), "theirs draws circles one by one"),
        Pair("rain", 0.03, 0.2, A.RandomRain(p=1), "theirs draws a few lines and blurs all, ours streaks by the pixel"),
        Pair("snow_c", 3, 3, A.RandomSnow(method="texture", p=1)),
        Pair(
            "brightness_c",
            1,
            5,
            A.RandomBrightnessContrast(brightness_limit=(0.1, 0.5), contrast_limit=(0, 0), p=1),
            "theirs is a sum by a table of 256 values, ours a change of the value of HSV",
        ),
        Pair(
            "contrast_c",
            1,
            5,
            A.RandomBrightnessContrast(brightness_limit=(0, 0), contrast_limit=(-0.9, -0.3), p=1),
            "theirs is a product by a table of 256 values, ours about each channel's mean",
        ),
        Pair(
            "over_exposure",
            0.5,
            1.7,
            A.RandomBrightnessContrast(brightness_limit=(0, 0), contrast_limit=(0.19, 0.8), p=1),
            "products, both",
        ),
        Pair(
            "low_resolution",
            1.5,
            4,
            A.Downscale(scale_range=(0.25, 0.667), interpolation_pair=bicubic, p=1),
            "theirs is not antialiased: 4 x 4 pixels for each of the small image, ours up to 16 x 16",
        ),
        Pair(
            "low_resolution", 1.5, 4, A.Downscale(scale_range=(0.25, 0.667), interpolation_pair=smooth, p=1), "theirs antialiased, by areas"
        ),
        Pair("pixelate_c", 3, 3, A.Downscale(scale_range=(blocks, blocks), interpolation_pair=boxes, p=1)),
        Pair("jpeg", 10, 80, A.ImageCompression(quality_range=(10, 80), p=1)),
        Pair("black_square", side / 10, side / 4, A.CoarseDropout(num_holes_range=(1, 1), **hole, fill=0, p=1)),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", type=int, choices=list(BATCH), default=list(BATCH))
    parser.add_argument("--turns", type=int, default=7, help="of each library; the fastest counts")
    parser.add_argument("--only", nargs="+", help="names of operations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_memory()  # as in training
    measured = {}
    for side in options.sides:
        chosen = [pair for pair in pairs(side) if not options.only or pair.name in options.only]
        measured[f"{side}"] = rows = [measure(pair, side, options.turns) for pair in chosen]
        table = Table(
            "operation", "ours/s", "theirs/s", "ratio", "float32/s", "ratio", "note", title=f"Images of {side} pixels a second, one core"
        )
        for row in rows:
            theirs = (f"{row['float32']:.0f}", f"{row['ratio_float32']:.2f}") if "float32" in row else ("", "")
            table.add_row(
                row["operation"], f"{row['ours']:.0f}", f"{row['albumentations']:.0f}", f"{row['ratio']:.2f}", *theirs, row["note"]
            )
        means = [statistics.geometric_mean([row[name] for row in rows if name in row]) for name in ("ratio", "ratio_float32")]
        table.add_row("geometric mean", "", "", f"{means[0]:.2f}", "", f"{means[1]:.2f}")
        Console(width=140).print(table)
    origin = provenance(["python", "benchmarks/damage.py", *sys.argv[1:]], torch.device("cpu"))
    RESULTS.write_text(json.dumps(origin | {"albumentations": A.__version__, "images_per_second": measured}, indent=1) + "\n")


def measure(pair: Pair, side: int, turns: int) -> dict[str, Any]:
    """Images per second of both, and their ratio."""
    pixels = photographs(BATCH[side], side)
    images = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous().float() / 255
    strengths = torch.linspace(pair.low, pair.high, len(images))
    function, random = DEGRADATIONS[pair.name].function, generator("benchmark")
    many = max(1, DRAWS // len(images))
    inputs = {"albumentations": pixels, "float32": pixels.astype(np.float32) / 255}

    def ours() -> None:
        for _ in range(many):
            function(images, strengths, random)

    def theirs(given: np.ndarray) -> None:
        pair.transform.set_random_seed(0)
        for _ in range(many):
            for image in given:
                pair.transform(image=image)

    works = {"ours": ours} | {name: partial(theirs, given) for name, given in inputs.items()}
    try:
        works["float32"]()
    except (ValueError, TypeError, cv2.error):  # uint8 only
        works.pop("float32")
    seconds = dict.fromkeys(works, math.inf)
    for _ in range(turns):
        for name, work in works.items():
            seconds[name] = min(seconds[name], timed(work) / many)
    rates = {name: round(len(images) / value, 1) for name, value in seconds.items()}
    ratios = {"ratio": round(rates["ours"] / rates["albumentations"], 3)}
    if "float32" in rates:
        ratios["ratio_float32"] = round(rates["ours"] / rates["float32"], 3)
    return {"operation": pair.name} | rates | ratios | {"note": pair.note}


def timed(work: Callable[[], None]) -> float:
    """CPU time of a call in seconds."""
    started = time.process_time()
    work()
    return time.process_time() - started


def photographs(num: int, side: int) -> np.ndarray:
    """Smooth pictures (num, side, side, 3), uint8, which compress like photographs, unlike noise."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (num, 8, 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC) for picture in coarse])


if __name__ == "__main__":
    main()
