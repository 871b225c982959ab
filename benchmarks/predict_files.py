"""Speed of `predict` on folders of picture files, relative to the network alone on arrays in memory, and the growth of its memory.

    python benchmarks/predict_files.py
    python benchmarks/predict_files.py --small 20000 --turns 1 --photos 0 --out results/predict-stream.json

Two kinds of folders: PNGs of 32 pixels with the damage of track `reference`, in batches of 64; and JPEGs of about a megapixel, drawn, or
from `--photographs FOLDER` and resized, one at a time. The network alone and `predict` process all small pictures, and parts of the
photographs, in turns; the ratio is that of the total times. Files are in the cache of the file system. `predict` reads, computes, and
writes restored pictures, masks, lines and the contact sheet; loading the model is measured separately. Requires an otherwise idle machine.
With `TMPDIR=/dev/shm` no disk takes part: creating a file takes half a millisecond on some disks, half of the time of a small picture.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from predict_memory import photograph

from pellucid import Predictor, data, pictures
from pellucid.batch import from_pixels, to_pixels
from pellucid.evaluation import TRACKS
from pellucid.evaluation.tracks import apply_damage
from pellucid.files import atomic_write
from pellucid.inference import predict_files
from pellucid.inference.pixels import to_floats
from pellucid.provenance import provenance

RESULTS = Path(__file__).parents[1] / "results" / "predict-files.json"

BATCH = 64


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled", help="also an exported one")
    parser.add_argument("--small", type=int, default=2_000, help="PNGs of 32 pixels")
    parser.add_argument("--photos", type=int, default=200, help="photographs")
    parser.add_argument("--photographs", type=Path, help="a folder to take them from; drawn ones otherwise")
    parser.add_argument("--megapixels", type=float, default=1.0, help="of a photograph")
    parser.add_argument("--dataset", default="cifar10", help="the small pictures; or shapes, which are drawn")
    parser.add_argument("--turns", type=int, default=4, help="calls on all small pictures; 1 to measure the memory over one long call")
    parser.add_argument("--parts", type=int, default=4, help="calls that the photographs are distributed to")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    start = time.perf_counter()
    predictor = Predictor.load(options.model, "cpu")
    figures: dict[str, Any] = {"model": options.model, "engine": predictor.stated, "load_seconds": round(time.perf_counter() - start, 2)}
    if options.small:
        small = small_pictures(options.dataset, options.small)
        figures["small"] = measure(predictor, [small] * options.turns, BATCH, ".png")
    if options.photos:
        photos = photographs(options.photographs, options.photos, options.megapixels)
        parts = np.array_split(np.arange(len(photos)), options.parts)
        figures["photos"] = measure(predictor, [[photos[index] for index in part] for part in parts], 1, ".jpg")
    print(json.dumps(figures, indent=1))
    with atomic_write(options.out) as path:
        origin = provenance(["python", "benchmarks/predict_files.py", *sys.argv[1:]], torch.device("cpu"))
        path.write_text(json.dumps(origin | figures, indent=1) + "\n")


def small_pictures(name: str, number: int) -> list[NDArray[np.uint8]]:
    """Test images of a data set, with the damage of track `reference`; repeated if there are too few."""
    track = TRACKS["reference"]
    test = data.load(name).test
    num = min(number, len(test))
    damaged, _ = apply_damage(track, track.levels[0], from_pixels(test.images[:num]), range(num))
    images = to_pixels(damaged)
    return [images[index % num] for index in range(number)]


def photographs(folder: Path | None, number: int, megapixels: float) -> list[NDArray[np.uint8]]:
    """Pictures of about that size: those of a folder, repeated if there are too few, or parts of a drawn one."""
    if folder is None:
        drawn = photograph(4 * megapixels, deep=False)
        height, width = (side // 2 for side in drawn.shape[:2])
        random = np.random.default_rng(0)
        corners = zip(random.integers(0, height, number), random.integers(0, width, number), strict=True)
        return [drawn[top : top + height, left : left + width] for top, left in corners]
    found = list(pictures.find([folder]))
    return [resized(pictures.read(found[index % len(found)]), megapixels) for index in range(number)]


def resized(image: NDArray[np.uint8], megapixels: float) -> NDArray[np.uint8]:
    """The same picture at that size."""
    scale = (1e6 * megapixels / (image.shape[0] * image.shape[1])) ** 0.5
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def measure(predictor: Predictor, turns: Sequence[Sequence[NDArray[np.uint8]]], batch_size: int, ending: str) -> dict[str, Any]:
    """Pictures per second of both, and their ratio."""
    seconds: dict[str, list[float]] = {"bare": [], "predict": []}
    memory: list[float] = []
    with TemporaryDirectory() as folder:
        warm_up = turns[0][: 2 * batch_size]
        bare(predictor, batches(warm_up, batch_size))
        run(predictor, stored(warm_up, Path(folder, "warm-up"), ending), [])
        for number, images in enumerate(turns):
            source = stored(images, Path(folder, str(number)), ending)
            seconds["bare"].append(bare(predictor, batches(images, batch_size)))
            seconds["predict"].append(run(predictor, source, memory))
    totals = {name: sum(values) for name, values in seconds.items()}
    num_pictures = sum(map(len, turns))
    height, width, _ = turns[0][0].shape
    return {
        "number": len(turns[0]),
        "turns": len(turns),
        "height": height,
        "width": width,
        "batch_size": batch_size,
        "per_second": {name: round(num_pictures / total, 2) for name, total in totals.items()},
        "ratio": round(totals["bare"] / totals["predict"], 3),
        "ratios": [round(one / other, 3) for one, other in zip(*seconds.values(), strict=True)],
        "memory_mb": [round(each) for each in memory],
    }


def stored(images: Sequence[NDArray[np.uint8]], folder: Path, ending: str) -> Path:
    """A folder with the images as files."""
    folder.mkdir()
    for number, image in enumerate(images):  # by Pillow, as other programs do
        Image.fromarray(image).save(folder / f"{number:06}{ending}", quality=95)
    return folder


def batches(images: Sequence[NDArray[np.uint8]], batch_size: int) -> list[NDArray[np.float32]]:
    """The inputs of the network, (B, 3, H, W); neighbours of different sizes are separate batches."""
    made: list[list[NDArray[np.uint8]]] = []
    for image in images:
        if made and len(made[-1]) < batch_size and made[-1][0].shape == image.shape:
            made[-1].append(image)
        else:
            made.append([image])
    return [to_floats(np.stack(each)) for each in made]


def bare(predictor: Predictor, arrays: Sequence[NDArray[np.float32]]) -> float:
    """Time of the network alone in seconds."""
    start = time.perf_counter()
    for each in arrays:
        predictor.backend(each)
    return time.perf_counter() - start


def run(predictor: Predictor, source: Path, memory: list[float]) -> float:
    """Seconds of `predict` on a folder; adds the resident memory at each tenth."""

    def watch(done: int, total: int) -> None:
        if done % max(1, total // 10) == 0:
            memory.append(resident())

    with ExitStack() as stack:
        out = stack.enter_context(TemporaryDirectory())
        stack.enter_context(patch.object(Predictor, "load", return_value=predictor))
        start = time.perf_counter()
        summary = predict_files([source], Path(out), progress=watch)
        seconds = time.perf_counter() - start
    assert not summary.num_failed, summary
    return seconds


def resident() -> float:
    """Current resident memory in MB of this process and its children, which share a part of it (Linux)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in ("self", *children))
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
