r"""The joint network compared with Unet of segmentation_models.pytorch with its classification head, after equal training times.

    pip install --target /tmp/smp --no-deps segmentation-models-pytorch==0.6.0 tqdm
    PYTHONPATH=/tmp/smp python benchmarks/smp_unet.py --minutes 5

Unet has its encoder `resnet18`, not pretrained; its output is added to the damaged image, as in our networks. Both are trained by the same
loop on the same images in the same order, crops, flips and damage, with the loss, batch size, averaged weights, schedule and optimiser of
the recipe; Unet also with AdamW, its usual optimiser. The time limit determines the number of steps: requires an otherwise idle machine.
The figures are those of the last weights on the test images of track `reference`; nothing is selected by them. Writes
`results/smp-unet.json`.
"""

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import segmentation_models_pytorch as smp
import torch
from rich import box
from rich import print as show
from rich.table import Table
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.data import Dataset
from pellucid.device import choose_device, resolve_precision
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import evaluate
from pellucid.experiments.cost import count_macs
from pellucid.files import atomic_write
from pellucid.loader import TrainLoader
from pellucid.provenance import provenance
from pellucid.recipe import RECIPES, Recipe, changed, settings
from pellucid.run import initialise
from pellucid.run_folder import LOG, STATE
from pellucid.seeding import seed_of
from pellucid.training.log import TrainingLog
from pellucid.training.loop import Trainer
from pellucid.training.memory import keep_memory

RESULTS = Path(__file__).parents[1] / "results" / "smp-unet.json"

TRACK = "reference"

ENDLESS = 10_000.0
"""More epochs than any training reaches within the time limit."""

ADAMW: dict[str, Any] = {
    "training.optimizer": "adamw",
    "training.learning_rate": 1e-3,
    "training.weight_decay": 0.01,
    "training.schedule": "cosine",
    "training.fallback_learning_rate": None,
    "training.head_learning_rate": None,
}

METRICS = ("accuracy", "psnr", "mask_psnr", "ssim", "ece")


class Unet(nn.Module):
    """segmentation_models.pytorch's Unet and classification head: images (B, 3, H, W) in [0, 1], multiples of 32 -> `Output`."""

    def __init__(self, num_classes: int, encoder: str = "resnet18") -> None:
        super().__init__()
        self.unet = smp.Unet(encoder, encoder_weights=None, classes=3, aux_params={"classes": num_classes})
        self.unet.output_layers = ("segmentation_head", "classification_head")  # which Muon leaves to NAdamW, as in our networks
        self.unet.segmentation_head[0].weight.data.mul_(0.1)  # near the identity, as ours at the start

    def forward(self, images: Tensor) -> Output:
        """The restored image is the damaged one plus the output of Unet."""
        residual, logits = self.unet(2 * images - 1)
        return Output(logits, images + residual)


def main() -> None:
    """Train, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="of each training")
    parser.add_argument("--recipe", default="quick", choices=sorted(RECIPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--limit", type=int, default=0, help="train on the first so many images only; 0 for all")
    parser.add_argument("--measured", type=int, help="measure on the first so many test images only")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    device = choose_device(options.device)
    recipe = changed(
        RECIPES[options.recipe],
        {
            "data.dataset": options.dataset,
            "data.limit": options.limit,
            "training.epochs": ENDLESS,
            "training.max_minutes": options.minutes,
            "training.seed": options.seed,
            "training.precision": resolve_precision("auto", device).name,
        },
    )
    splits = recipe.data.splits()
    num_classes = len(splits.train.classes)
    contestants = {
        f"joint, {recipe.training.optimizer}": (recipe, lambda: initialise(recipe, num_classes)),
        f"Unet, {recipe.training.optimizer}": (recipe, lambda: unet(recipe, num_classes)),
        "Unet, adamw": (changed(recipe, ADAMW), lambda: unet(recipe, num_classes)),
    }
    rows = {}
    for name, (its_recipe, build) in contestants.items():
        show(f"{name}: {options.minutes:g} minutes.")
        network, trained = train(build(), its_recipe, splits.train, options.device)
        scores = evaluate(network, splits.test, TRACKS[TRACK], limit=options.measured, device=device)
        rows[name] = {"macs": count_macs(network, 32), **trained, **{metric: scores.metrics[metric] for metric in METRICS}}
    figures = {"track": TRACK, "split": "test", "dataset": options.dataset, "num_images": scores.num_images, "minutes": options.minutes}
    figures |= {"seed": options.seed, "unet": f"segmentation_models_pytorch {smp.__version__}, resnet18", "networks": rows}
    show(table(figures))
    with atomic_write(options.out) as path:
        origin = provenance(["python", "benchmarks/smp_unet.py", *sys.argv[1:]], device)
        written = {"recipe": settings(recipe), "adamw": ADAMW}
        path.write_text(json.dumps(origin | figures | written, indent=1) + "\n")


def unet(recipe: Recipe, num_classes: int) -> Unet:
    """Unet with weights that depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_of("weights", recipe.training.seed))
        return Unet(num_classes)


def train(network: nn.Module, recipe: Recipe, clean: Dataset, accelerator: str) -> tuple[nn.Module, dict[str, Any]]:
    """The averaged network in evaluation mode, and the length of its training; as `pellucid train` does for its own networks."""
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    config = recipe.training
    with TemporaryDirectory() as folder:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=config.precision)
        fabric.launch()
        if fabric.device.type == "cpu":
            keep_memory()
        loader = TrainLoader(
            clean,
            recipe.pipeline,
            batch_size=config.batch_size,
            seed=config.seed,
            crop=config.crop,
            flip=config.flip,
            labelled_share=recipe.data.labelled_share,
            device=fabric.device,
        )
        log = TrainingLog(fabric, Path(folder, LOG))
        trainer = Trainer(fabric, network, loader, recipe.objective, replace(config, save_minutes=1e6), log, Path(folder, STATE))
        trained = trainer.fit()
    num_images = trainer.step * loader.batch_size
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return trained, {"parameters": parameters, "steps": trainer.step, "epochs": round(num_images / len(clean), 2)}


def table(figures: dict[str, Any]) -> Table:
    """The figures."""
    images = f"{figures['num_images']:,} {figures['split']} images of {figures['dataset']}"
    title = f"{figures['track']}, {images}, {figures['minutes']:g} minutes each"
    rows = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for heading in ("", "M params", "M MACs", "epochs", "acc %", "PSNR", "mask PSNR", "SSIM"):
        rows.add_column(heading, justify="right" if heading else "left")
    for name, each in figures["networks"].items():
        size = (f"{each['parameters'] / 1e6:.2f}", f"{each['macs'] / 1e6:.1f}", f"{each['epochs']:.1f}")
        scores = (f"{each['accuracy']:.2f}", f"{each['psnr']:.2f}", f"{each['mask_psnr']:.2f}", f"{each['ssim']:.4f}")
        rows.add_row(name, *size, *scores)
    return rows


if __name__ == "__main__":
    main()
