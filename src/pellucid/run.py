"""Trains a recipe in a folder.

A folder holds `recipe.json`, `log.jsonl` and TensorBoard events during the training, `state.ckpt` for `--resume`, and then `model/`.
"""

import logging
import os
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from pellucid.batch import Batch
from pellucid.checkpoint import ModelMetadata, load_model, save_model
from pellucid.data import Dataset, Splits
from pellucid.device import choose_device, describe_device, is_out_of_memory, resolve_precision
from pellucid.errors import TrainingError, UserError
from pellucid.evaluation.calibration import calibrate
from pellucid.files import locked, write_json
from pellucid.loader import TrainLoader
from pellucid.models import build_model
from pellucid.models.decoder import shuffle_guidance
from pellucid.models.growing import load_smaller
from pellucid.models.sequential import Sequential
from pellucid.provenance import source_commit
from pellucid.recipe import Recipe, completed, same_dataset, settings
from pellucid.run_folder import LOG, MODEL, RECIPE, STATE, claim
from pellucid.seeding import seed_of
from pellucid.training.log import TrainingLog
from pellucid.training.loop import Trainer
from pellucid.training.memory import keep_memory

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def run(
    recipe: Recipe, folder: Path, *, resume: bool = False, device: str = "auto", devices: int = 1, restorer: Path | None = None
) -> tuple[nn.Module, ModelMetadata]:
    """Train a recipe in `folder` and return the averaged network in evaluation mode, and its metadata.

    resume: continue a stopped run of the same recipe in that folder, or start one; device: `auto`, `cpu`, `cuda` or `mps`; devices: their
    number; restorer: trained model of tasks `restore` with the same encoder and decoder, for the architecture `sequential`. A finished run
    is loaded and not trained again. Raises `UserError` if the folder is in use or the recipe of a resumed run differs, and
    `DivergenceError`.
    """
    # Other processes of the same training share the folder of the first one.
    with nullcontext() if int(os.environ.get("LOCAL_RANK", 0)) else locked(folder):
        chosen = choose_device(device)
        recipe = claim(folder, recipe, resume)
        if resume and (folder / MODEL).exists():
            network, metadata = load_model(folder / MODEL, chosen)
            if metadata.data_digest:
                recipe.data.splits().require_unchanged(metadata.data_digest, str(folder), "train in a new folder")
            if recipe.training.shuffle_guidance:
                shuffle_guidance(network)
            return network, metadata
        precision = resolve_precision(recipe.training.precision, chosen)
        recipe = replace(recipe, training=replace(recipe.training, precision=precision.name))
        commit = source_commit()  # now, since the source may change during a long training
        fabric = _launch(recipe, folder, chosen, devices)

        splits = _load_data(recipe)
        model = _build_network(recipe, splits, restorer, resumed=resume and (folder / STATE).exists())
        loader = _build_loader(recipe, splits.train, fabric)
        log = TrainingLog(fabric, folder / LOG, _examples(splits.train, recipe, fabric.device), header={"precision": str(precision)})
        trainer = Trainer(fabric, model, loader, recipe.objective, recipe.training, log, folder / STATE, splits.digest)

        if fabric.is_global_zero:
            write_json(folder / RECIPE, settings(recipe))  # only now, so that an invalid recipe leaves no file
        if resume:
            trainer.load()
        failure = None
        try:
            network = trainer.fit()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = TrainingError(
                f"Expected memory for batches of {recipe.training.batch_size:,} images on {chosen}, found too little; choose a lower "
                "training.batch_size."
            )
        if failure:
            raise failure  # without its cause, whose traceback would keep the memory of the run, in a process that goes on with others

        metadata = _describe(recipe, splits, trainer, f"{describe_device(fabric.device)}, {precision}", commit)
        calibration = calibrate(network, splits, recipe.pipeline, fabric.device)
        metadata = replace(metadata, **calibration._asdict())
        if fabric.is_global_zero:
            save_model(folder / MODEL, network, metadata)
        return network, metadata


def _launch(recipe: Recipe, folder: Path, device: torch.device, devices: int) -> "Fabric":
    from lightning_fabric import Fabric
    from lightning_fabric.loggers import TensorBoardLogger

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it logs the precision of every run
    if device.index is not None and devices > 1:
        raise UserError(f"Expected a device without a number for {devices} devices, found '{device}'; choose {device.type}.")
    if devices > 1 and os.name == "nt":
        raise UserError(f"Expected one device on Windows, where torch can't train on several, found {devices}; leave --devices out.")
    if device.type != "cpu" and devices > torch.accelerator.device_count():
        raise UserError(f"Expected {devices} devices '{device.type}', found {torch.accelerator.device_count()}; choose fewer devices.")
    logger = TensorBoardLogger(folder, name="tensorboard", version="")
    numbers = devices if device.index is None else [device.index]
    fabric = Fabric(accelerator=device.type, devices=numbers, precision=recipe.training.precision, loggers=logger)
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_memory()
    return fabric


def _build_loader(recipe: Recipe, clean: Dataset, fabric: "Fabric") -> TrainLoader:
    config = recipe.training
    if (images := min(config.batch_size, len(clean.labels))) < fabric.world_size:
        raise UserError(
            f"Expected an image for each of {fabric.world_size} devices in every batch, found {images} in all; choose fewer devices."
        )
    return TrainLoader(
        clean,
        recipe.pipeline,
        batch_size=config.batch_size,
        seed=config.seed,
        crop=config.crop,
        flip=config.flip,
        labelled_share=recipe.data.labelled_share,
        device=fabric.device,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
    )


def _describe(recipe: Recipe, splits: Splits, trainer: Trainer, computed: str, commit: str) -> ModelMetadata:
    """The metadata of a trained model, without its calibration; computed: device and precision, as text."""
    return ModelMetadata(
        model=recipe.model,
        classes=splits.train.classes,
        damages=recipe.pipeline.kinds,
        recipe=settings(recipe),
        training_data=f"{splits.train.counts} of {recipe.data.dataset}, damage '{recipe.damage}'",
        trained=f"{date.today().isoformat()}, {trainer.step:,} steps in {trainer.seconds / 60:.1f} minutes, {computed}",
        commit=commit,
        image_size=min(splits.train.size),
        data_digest=splits.digest,
    )


def _load_data(recipe: Recipe) -> Splits:
    """The data of a recipe; raises `UserError` if the recipe can not be trained on it."""
    splits = recipe.data.splits()
    clean = splits.train
    if len(clean.classes) < 2 and recipe.model.tasks != "restore":
        raise UserError(
            f"Expected pictures of two classes at least, found {len(clean.classes)} in {clean.name}; put each class into a folder of its "
            "own, or train without classes by --model.tasks restore."
        )
    if clean.damaged is not None and recipe.pipeline.kinds:
        raise UserError(f"Expected no other damage with pairs of clean and damaged pictures, found '{recipe.damage}'; add --damage none.")
    return splits


def initialise(recipe: Recipe, num_classes: int, load: bool = True) -> nn.Module:
    """The untrained network of a recipe; its weights depend on the seed alone, but for those of a pretrained encoder.

    load: read pretrained weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("weights", recipe.training.seed))
        return build_model(recipe.model, num_classes, recipe.pipeline.kinds, load)


def _build_network(recipe: Recipe, splits: Splits, restorer: Path | None, resumed: bool) -> nn.Module:
    """The network at the start of the training: initialised, with the weights of its restorer or of `training.start`, if it has any."""
    network, start = initialise(recipe, len(splits.train.classes), load=not resumed), recipe.training.start
    if isinstance(network, Sequential):
        if restorer is None:
            raise UserError("Expected a trained restorer for the architecture 'sequential', found none; name its folder by --restorer.")
        wanted = "the restorer of this recipe; train it with --model.tasks restore and the settings of this run"
        _check_held_out(recipe, splits, restorer, _load_weights(network.restorer, restorer, wanted))
    elif restorer is not None:
        raise UserError(
            f"Expected no restorer with the architecture '{recipe.model.architecture}', found {restorer}; leave --restorer out."
        )
    if start is not None and not resumed:
        wanted = "the network of this recipe, or a smaller one; leave training.start out, or start from a model like it"
        _check_held_out(recipe, splits, start, _load_weights(network, start, wanted, grow=True))
    if recipe.training.shuffle_guidance:
        shuffle_guidance(network)
    return network


def _check_held_out(recipe: Recipe, splits: Splits, source: str | Path, trained: ModelMetadata) -> None:
    """Raise `UserError` if the model in `source` may have been trained on images that this training holds out."""
    mine, other = settings(recipe)["data"], completed(trained.recipe)["data"]
    same_place = same_dataset(mine["dataset"], other.get("dataset", ""))
    if not same_place and (not splits.digest or splits.digest != trained.data_digest):
        return
    splits.require_unchanged(trained.data_digest, str(source), "train from the start, or put new pictures into a folder of their own")
    held_out = () if splits.validation is None else ("validation_share", "validation", "limit")
    for name in (*held_out, "fold", "folds"):
        if mine[name] != other[name]:
            raise UserError(
                f"Expected a model in {source} that was not trained on the images held out here, found one with data.{name} "
                f"{other[name]} instead of {mine[name]}; set the same, or hold out none."
            )


def _load_weights(network: nn.Module, source: str | Path, wanted: str, grow: bool = False) -> ModelMetadata:
    """Load the weights of a trained model into a network, and return its metadata.

    wanted: the expected model, for the error; grow: it may have fewer channels and blocks.
    """
    trained, metadata = load_model(source, "cpu")
    try:
        if grow:
            load_smaller(network, trained)
        else:
            network.load_state_dict(trained.state_dict())
    except (RuntimeError, ValueError) as error:
        raise UserError(f"Expected a model in {source} with the same architecture, classes and kinds of damage as {wanted}.") from error
    return metadata


def _examples(clean: Dataset, recipe: Recipe, device: torch.device) -> Batch:
    """Eight training images with fixed damage, logged during the training."""
    loader = TrainLoader(
        clean.subset(slice(8)), recipe.pipeline, batch_size=8, seed=seed_of("examples", recipe.training.seed), device=device
    )
    return next(loader.epoch(0))
