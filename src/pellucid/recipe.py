"""A recipe: all settings of a run as one value. Does not import torch, so that the command line starts quickly.

>>> from pellucid.recipe import RECIPES, changed, differences, settings
>>> quick = RECIPES["quick"]
>>> differences(settings(quick), settings(changed(quick, {"training.seed": 1, "damage": "art"})))
['damage: reference -> art', 'training.seed: 0 -> 1']
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.degradations import SUITES, Mixture, Pipeline
from pellucid.errors import UserError
from pellucid.models import DecoderConfig, EncoderConfig, ModelConfig
from pellucid.objectives import ObjectiveConfig
from pellucid.settings import Settings, setting
from pellucid.training import TrainingConfig

if TYPE_CHECKING:
    from pellucid.data import Splits


@dataclass(frozen=True)
class DataConfig(Settings):
    """The clean training images.

    Args:
        dataset: `cifar10`, `shapes` (synthetic), or a folder or table of pictures; see `docs/data.md`.
        source: path of the files of a built-in data set, instead of downloading them.
        size: height and width of the images of a folder or table, default 128.
        min_area: smallest fraction of the area of a picture in random resized crops; 1 for the largest centred square.
        folds: number of parts into which pictures without a test set are split.
        fold: index of the part that is the test set.
        validation: number of training images to hold out for evaluation, the last ones of every class.
        validation_share: fraction of the training images to hold out if `validation` is 0, the data have no validation images of their own,
            and it has at least 50 labelled ones; in folders and tables, duplicates and groups stay together.
        limit: maximum number of training images, the first ones; 0 for all.
        labels: number of training images that keep their label, stratified by class, chosen by a fixed seed of the protocol; 0 for all.
        unlabelled: also train on images without a label.
        labelled_share: fraction of labelled images in every batch, if some images are unlabelled; at least their fraction of all images.
    """

    dataset: str = "cifar10"
    source: Path | None = None
    size: int | None = setting(None, least=8)
    min_area: float = setting(1.0, above=0, most=1)
    folds: int = setting(5, least=2)
    fold: int = setting(0, least=0)
    validation: int = setting(0, least=0)
    validation_share: float = setting(0.0, least=0, below=1)
    limit: int = setting(0, least=0)
    labels: int = setting(0, least=0)
    unlabelled: bool = True
    labelled_share: float = setting(0.5, above=0, most=1)

    @property
    def own(self) -> bool:
        """Whether the images are a folder or a table of the user's."""
        from pellucid import data  # imports numpy, which the command line does not need

        return self.dataset not in data.DATASETS and Path(self.dataset).exists()

    def splits(self) -> "Splits":
        """Load the images."""
        from pellucid import data

        share = 0.0 if self.validation else self.validation_share
        if not self.own:
            others = [name for name in ("size", "min_area", "folds", "fold") if getattr(self, name) != getattr(DataConfig, name)]
            if others and self.dataset in data.DATASETS:
                raise UserError(f"Expected data.{others[0]} with pictures of your own only, found it with {self.dataset}; leave it out.")
            splits = data.load(self.dataset, self.source)
            num_held = round(share * min(self.limit or len(splits.train), len(splits.train)))
            validation = self.validation or (num_held if num_held >= data.MIN_VALIDATION else 0)
        else:
            if self.source is not None:
                raise UserError(f"Expected data.source with a built-in data set only, found it with {self.dataset}; leave it out.")
            splits = data.load_own(Path(self.dataset), self.size, self.min_area, self.folds, self.fold, share)
            validation = self.validation
        return data.select(splits, limit=self.limit, validation=validation, labels=self.labels, unlabelled=self.unlabelled)


def same_dataset(one: str, other: str) -> bool:
    """Whether two values of `data.dataset` are the same name, or the same path however it is spelled."""
    return Path(one).resolve() == Path(other).resolve()


def measured_splits(
    recipe: dict[str, Any], image_size: int, digest: str, dataset: str | None = None, source: Path | None = None
) -> "Splits":
    """The data of a training, from its recipe as in `settings`, in the same splits; or another data set, at the same size.

    image_size, digest: as in `ModelMetadata`; a folder with the same digest is that of the training at another place. Raises `UserError` if
    the pictures of the training were changed since: others of them are test pictures then, which may have been trained on.
    """
    used = asdict(DataConfig()) | completed(recipe)["data"]  # models need not have a recipe
    trained = used["dataset"]
    chosen = DataConfig(dataset or trained, source)
    if not same_dataset(chosen.dataset, trained):
        splits = (replace(chosen, size=used["size"] or image_size) if chosen.own else chosen).splits()
        if not splits.digest or splits.digest != digest:
            return splits
    splits = replace(chosen, **{name: used[name] for name in ("size", "min_area", "folds", "fold")}).splits()
    splits.require_unchanged(digest, "the model", "train again, or name a folder of other pictures by --data")
    return splits


@dataclass(frozen=True)
class Recipe(Settings):
    """All settings of a run, by stage.

    Args:
        data: the clean images.
        damage: a suite of degradations: none, reference, mixed, single, medical, driving, surveillance, art, everyday or general. In a file
            for --config also a pipeline, such as `damage: {steps: [{name: jpeg, low: 20, high: 80, probability: 0.5}]}`, or a mixture,
            `damage: {weights: {art: 0.8, none: 0.2}}`.
        model: the network.
        objective: the losses.
        training: the training loop and the optimiser.
    """

    data: DataConfig = field(default_factory=DataConfig)
    damage: str | Pipeline | Mixture = "reference"
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.damage, Pipeline | Mixture) or self.damage in SUITES):
            raise UserError(f"Expected a damage suite among {', '.join(SUITES)}, found {self.damage!r}; choose one of these.")

    @property
    def pipeline(self) -> Pipeline | Mixture:
        """The pipeline or mixture of `damage`."""
        return SUITES[self.damage] if isinstance(self.damage, str) else self.damage


def _compact(*widths: int, depths: tuple[int, ...] = (1, 1, 1), **settings: Any) -> ModelConfig:
    """A narrow and shallow ResNet of three stages, on patches of 2 x 2 pixels, for CPUs."""
    return ModelConfig(encoder=EncoderConfig(patch=2, widths=widths, depths=depths), **settings)


JOINT_OBJECTIVE = ObjectiveConfig(weight=4.0, restoration="psnr", label_smoothing=0.05)
"""The restoration loss is the evaluated metric, PSNR: in a pair of runs of 3 epochs, lost pixels were restored 0.9 dB better than with
L1."""

JOINT_DESIGN: dict[str, Any] = {"decoder": DecoderConfig(last_stage="read", detail_width=16), "damage_head": True}
"""The decoder reads the last stage, which only the class head trains, and takes fine detail from the image. The damage head informs the
user."""

RATES: dict[str, Any] = {"learning_rate": 0.13, "fallback_learning_rate": 0.04, "head_learning_rate": 0.003}
"""Both tasks train best with high rates for scales and biases and low ones for output layers (`results/first-trials.md`, third round)."""

RECIPES = {
    # Widths and weight: the best of the trials that take about as long as five minutes on two cores (`results/search.md`). In bfloat16, 32
    # channels take no more time than 24.
    "quick": Recipe(
        model=_compact(32, 80, 160, **JOINT_DESIGN),
        objective=replace(JOINT_OBJECTIVE, weight=1.0),
        training=TrainingConfig(epochs=7, batch_size=128, shards=2, max_minutes=5, **RATES),
    ),
    # Rate: 0.8 to 1.0 points better than 0.13 for the joint network, no better for single tasks (`results/design.md`).
    "base": Recipe(
        model=_compact(48, 96, 192, **JOINT_DESIGN),
        objective=JOINT_OBJECTIVE,
        training=TrainingConfig(epochs=12, batch_size=128, shards=2, **RATES | {"learning_rate": 0.17, "fallback_learning_rate": 0.0523}),
    ),
    # One model for clean, noisy, blurred, compressed, low-resolution and occluded pictures. Suite `everyday` has so few images with blur
    # but without noise that networks learned deblurring late or not at all.
    "everyday": Recipe(
        data=DataConfig(validation=1000),  # for the temperature, which only images that were not trained on can give
        damage="general",
        model=_compact(64, 128, 256, depths=(1, 2, 1), **JOINT_DESIGN),
        objective=replace(JOINT_OBJECTIVE, weight=3.0, max_psnr=40.0),
        training=TrainingConfig(epochs=40, batch_size=128, crop=4, shards=2, **RATES),
    ),
    # Photographs: a pretrained encoder.
    "photo": Recipe(
        data=DataConfig(dataset="photos", size=160, min_area=0.35, validation_share=0.1),
        damage="everyday",
        model=ModelConfig(
            encoder=EncoderConfig("tf_efficientnet_lite0", pretrained=True, learning_rate=0.3, stem="standard"), **JOINT_DESIGN
        ),
        objective=replace(JOINT_OBJECTIVE, weight=1.0, max_psnr=40.0),
        training=TrainingConfig(
            epochs=20, batch_size=32, optimizer="adamw", learning_rate=2e-3, weight_decay=0.05, schedule="cosine", crop=0, flip="random"
        ),
    ),
    "resnet18": Recipe(
        model=ModelConfig(**JOINT_DESIGN),
        objective=JOINT_OBJECTIVE,
        training=TrainingConfig(epochs=60, batch_size=512, learning_rate=0.12, compile=True),
    ),
    # Section 5 of the paper: Adam at 1e-4, lambda 0.1, crop and flip, ResNet-18. Values that it does not state are common defaults.
    "paper": Recipe(
        model=ModelConfig(architecture="paper-listing"),
        objective=ObjectiveConfig(weight=0.1, restoration="l1"),
        training=TrainingConfig(
            epochs=100,
            batch_size=128,
            optimizer="adam",
            learning_rate=1e-4,
            schedule="constant",
            warmup=0,
            clip_norm=0,
            ema_horizon=0,
            crop=4,
            flip="random",
            precision="32-true",
        ),
    ),
}
"""Recipes by name."""


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of some settings, such as `{"model.encoder.patch": 2}`; raises `UserError` for unknown settings."""

    def change(section: Any, prefix: str) -> Any:
        """A section with the values under a prefix, changed together, since some are valid only together."""
        inner = {name.removeprefix(prefix).partition(".")[0] for name in values if name.startswith(prefix)}
        if unknown := [name for name in inner if not is_dataclass(section) or name not in {field.name for field in fields(section)}]:
            raise UserError(
                f"Expected a setting of a recipe such as training.epochs, found '{prefix}{unknown[0]}'; pellucid train --print_config "
                "shows all."
            )
        parts = {
            name: values[prefix + name] if prefix + name in values else change(getattr(section, name), f"{prefix}{name}.") for name in inner
        }
        return replace(section, **parts)

    whole: Recipe = change(recipe, "")
    return whole


def settings(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain values for JSON and YAML, as `--config` of the command line reads them."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe), default=str))
    return plain


BEFORE: dict[str, Any] = {"data.validation_share": 0.0}
"""Settings that older recipes lack, with the values equivalent to their behaviour. New settings must be added here."""

WITHOUT_EFFECT = ("data.source", "training.save_minutes")
"""Settings without effect on the result of a run."""


def completed(older: dict[str, Any]) -> dict[str, Any]:
    """Settings of an older recipe with values for settings that it lacks."""
    filled: dict[str, Any] = deepcopy(older)
    for name, value in BEFORE.items():
        *parts, setting = name.split(".")
        section = filled
        for part in parts:
            section = section.setdefault(part, {})
        section.setdefault(setting, value)
    return filled


def as_started(recipe: Recipe, older: dict[str, Any]) -> Recipe:
    """The recipe with the precision of a started run, if it is `auto`; older: the settings of that run."""
    if recipe.training.precision != "auto":
        return recipe
    return replace(recipe, training=replace(recipe.training, precision=older["training"]["precision"]))


def differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> list[str]:
    """The settings that differ and affect the result of a run, as `training.epochs: 6 -> 12`."""
    lines = []
    for name in sorted(one.keys() | other.keys()):
        before, after = one.get(name), other.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{prefix}{name}.")
        elif before != after and prefix + name not in WITHOUT_EFFECT:
            lines.append(f"{prefix}{name}: {before} -> {after}")
    return lines
