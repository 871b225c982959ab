"""Speed of loading photographs, against the speed of a training step.

    python benchmarks/photo_loading.py

Draws JPEG files of 400 x 534 pixels and measures, in turns: the first epoch of reading, with decoding; a later one, from the cache;
training steps on images in memory; and training steps on loaded photographs. Requires an otherwise idle machine. Results go to
`results/photo-loading.json`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from pellucid.batch import Batch
from pellucid.data import Dataset
from pellucid.data.photos import Photos, prepare
from pellucid.degradations import SUITES
from pellucid.loader import TrainLoader
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.provenance import provenance
from pellucid.training.memory import keep_memory

RESULTS = Path(__file__).parents[1] / "results" / "photo-loading.json"

NUM, SIZE, MIN_AREA, BATCH_SIZE = 512, 160, 0.35, 32


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_memory()  # as a training does
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PELLUCID_HOME"] = f"{folder}/home"
        paths = draw(Path(folder))
        started = time.perf_counter()
        photos, *_ = prepare(paths, SIZE, MIN_AREA)
        rates = {"decoding, once": NUM / (time.perf_counter() - started)}
        measured: dict[str, list[float]] = {"reading": [], "training, images in memory": [], "training, photographs": []}
        in_memory = photos[:BATCH_SIZE]
        train(in_memory)  # warms up
        for _ in range(options.rounds):
            measured["reading"].append(read(photos))
            measured["training, images in memory"].append(train(in_memory))
            measured["training, photographs"].append(train(photos))
    rates |= {name: float(np.median(values)) for name, values in measured.items()}
    share = rates["training, photographs"] / rates["training, images in memory"]
    for name, rate in rates.items():
        print(f"{name}: {rate:,.0f} images/s")
    print(f"share of the speed without reading: {share:.2f}")
    origin = provenance(["python", "benchmarks/photo_loading.py", *sys.argv[1:]], torch.device("cpu"))
    figures = {"images_per_second": {name: round(rate, 1) for name, rate in rates.items()}, "share": round(share, 3), "size": SIZE}
    RESULTS.write_text(json.dumps(origin | figures, indent=1) + "\n")


def draw(folder: Path) -> list[Path]:
    """Smooth pictures with some noise, whose files are as large as those of photographs."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(NUM):
        coarse = random.integers(0, 256, (12, 9, 3), np.uint8)
        picture = cv2.resize(coarse, (400, 534), interpolation=cv2.INTER_CUBIC).astype(np.int16) + random.integers(-9, 10, (534, 400, 3))
        paths.append(folder / f"{number}.jpg")
        cv2.imwrite(str(paths[-1]), picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return paths


def dataset_of(images: Photos | np.ndarray) -> Dataset:
    """Images with the labels 0 and 1 in turns."""
    return Dataset(images, np.arange(len(images), dtype=np.int64) % 2, ("a", "b"))


def loader_of(images: Photos | np.ndarray) -> TrainLoader:
    """A training step of recipe `photo` without damage, whose cost is the same for both."""
    return TrainLoader(dataset_of(images), SUITES["none"], batch_size=BATCH_SIZE, seed=0, flip="random")


def read(photos: Photos) -> float:
    """Images per second of the loader alone."""
    started = time.perf_counter()
    num = sum(len(batch) for batch in loader_of(photos).epoch(0))
    return num / (time.perf_counter() - started)


def train(images: Photos | np.ndarray, num_steps: int = 12, warm_up: int = 2) -> float:
    """Images per second of forward and backward."""
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder=EncoderConfig("tf_efficientnet_lite0", stem="standard")), 2).train()
    network = network.to(memory_format=torch.channels_last)  # as the trainer has it
    batches = endless(loader_of(images))
    for step in range(num_steps + warm_up):
        if step == warm_up:
            started = time.perf_counter()
        batch = next(batches)
        output = network(batch.degraded)
        (torch.nn.functional.cross_entropy(output.logits, batch.labels) + (output.restored - batch.clean).abs().mean()).backward()
    return num_steps * BATCH_SIZE / (time.perf_counter() - started)


def endless(loader: TrainLoader) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


if __name__ == "__main__":
    main()
