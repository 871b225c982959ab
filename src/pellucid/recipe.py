"""A recipe: all settings of a run as one value. Needs no torch, so that the command line starts at once.

>>> from pellucid.recipe import RECIPES, changed, differences, settings
>>> quick = RECIPES["quick"]
>>> differences(settings(quick), settings(changed(quick, {"training.seed": 1, "damage": "art"})))
['damage: reference -> art', 'training.seed: 0 -> 1']
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.degradations import SUITES, Mixture, Pipeline
from pellucid.errors import UserError
from pellucid.models import DecoderConfig, EncoderConfig, ModelConfig, upgraded
from pellucid.objectives import ObjectiveConfig
from pellucid.settings import Settings, setting
from pellucid.training import TrainingConfig

if TYPE_CHECKING:
    from pellucid.data import Splits


@dataclass(frozen=True)
class DataConfig(Settings):
    """Which clean images are trained on.

    Args:
        dataset: a name out of `pellucid.data.DATASETS`, a folder of pictures, or a table of them; see `docs/data.md`.
        source: where the files of a data set with a name lie, if they are not to be downloaded.
        size: height and width to which pictures of one's own are brought, 128 by default.
        min_area: the smallest share of a picture of one's own that random crops keep in training; 1 for the largest centred square.
        folds: parts into which pictures of one's own without a test set are dealt.
        fold: which of these parts is the test set, from 0.
        validation: training images to hold out and to report on, the last ones of every class; 0 trains on all.
        limit: train on the first so many images only; 0 for all.
        labels: how many training images keep their label, the same share of every class, chosen by a fixed seed that is the protocol's and
            not the run's; 0 for all.
        unlabelled: train on the images without a label, too.
        labelled_share: part of every batch that has labels, where only some images have them.
    """

    dataset: str = "cifar10"
    source: Path | None = None
    size: int | None = setting(None, least=8)
    min_area: float = setting(1.0, above=0, most=1)
    folds: int = setting(5, least=2)
    fold: int = setting(0, least=0)
    validation: int = setting(0, least=0)
    limit: int = setting(0, least=0)
    labels: int = setting(0, least=0)
    unlabelled: bool = True
    labelled_share: float = setting(0.5, above=0, most=1)

    def splits(self) -> "Splits":
        """The images themselves."""
        from pellucid import data  # needs numpy, which the command line does without

        if self.dataset in data.DATASETS or not Path(self.dataset).exists():
            if others := [name for name in ("size", "min_area", "folds", "fold") if getattr(self, name) != getattr(DataConfig, name)]:
                raise UserError(f"Expected data.{others[0]} with pictures of your own only, found it with {self.dataset}; leave it out.")
            splits = data.load(self.dataset, self.source)
        else:
            splits = data.load_own(Path(self.dataset), self.size, self.min_area, self.folds, self.fold)
        return data.select(splits, limit=self.limit, validation=self.validation, labels=self.labels, unlabelled=self.unlabelled)


def measured_data(recipe: dict[str, Any], dataset: str | None = None, source: Path | None = None) -> DataConfig:
    """Where the test images of a run are, by its recipe as `settings` has it; or those of another data set, cut to the same size."""
    used = completed(recipe)["data"]
    own = used.get("dataset", DataConfig.dataset)
    kept = ("size", "min_area", "folds", "fold") if dataset in (None, own) else ("size",)
    return DataConfig(dataset or own, source, **{name: used[name] for name in kept})


@dataclass(frozen=True)
class Recipe:
    """All settings of a run, by stage.

    Args:
        data: the clean images.
        damage: what is done to them: a name out of `pellucid.degradations.SUITES`, a pipeline of one's own, or a mixture of suites.
        model: the network.
        objective: what it is trained for.
        training: how it is trained.
    """

    data: DataConfig = field(default_factory=DataConfig)
    damage: str | Pipeline | Mixture = "reference"
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if isinstance(self.damage, str) and self.damage not in SUITES:
            raise UserError(f"Expected a damage suite among {', '.join(SUITES)}, found '{self.damage}'; choose one of these.")

    @property
    def pipeline(self) -> Pipeline | Mixture:
        """The damage itself, its name looked up."""
        return SUITES[self.damage] if isinstance(self.damage, str) else self.damage


def _compact(*widths: int, depths: tuple[int, ...] = (1, 1, 1), **settings: Any) -> ModelConfig:
    """A narrow and shallow ResNet of three stages, on patches of 2 x 2 pixels: made for CPUs."""
    return ModelConfig(encoder=EncoderConfig(patch=2, widths=widths, depths=depths), **settings)


JOINT_OBJECTIVE = ObjectiveConfig(weight=4.0, restoration="psnr", label_smoothing=0.05)
"""What is measured is what is trained for: in a pair of runs of 3 epochs, lost pixels came back 0.9 dB better than with L1."""

JOINT_DESIGN: dict[str, Any] = {"decoder": DecoderConfig(last_stage="read", detail_width=16), "damage_head": True}
"""The restorer fills lost regions by what the last stage sees, which the class head alone trains; it has fine detail from the image
itself. The damage head is for the user to know."""

RATES: dict[str, Any] = {"learning_rate": 0.13, "fallback_learning_rate": 0.04, "head_learning_rate": 0.003}
"""Each task alone learns best with fast scales and biases and slow last layers (`results/first-trials.md`, third round)."""

RECIPES = {
    # The best trial at 24 TFLOP, what two cores do in five minutes (`results/search.md`).
    "quick": Recipe(
        model=_compact(24, 80, 160, **JOINT_DESIGN),
        objective=replace(JOINT_OBJECTIVE, weight=1.5),
        training=TrainingConfig(epochs=6, batch_size=128, shards=2, max_minutes=5, **RATES),
    ),
    "base": Recipe(
        model=_compact(48, 96, 192, **JOINT_DESIGN),
        objective=JOINT_OBJECTIVE,
        training=TrainingConfig(epochs=12, batch_size=128, shards=2, **RATES),
    ),
    # One model for clean, noisy, blurred, compressed, small and occluded pictures. In suite `everyday` so few are blurred and not noisy,
    # too, that a network learned late, or not at all, to undo blur.
    "everyday": Recipe(
        data=DataConfig(validation=1000),  # for the temperature, which only images that were not trained on can give
        damage="general",
        model=_compact(64, 128, 256, depths=(1, 2, 1), **JOINT_DESIGN),
        objective=replace(JOINT_OBJECTIVE, weight=3.0, max_psnr=40.0),
        training=TrainingConfig(epochs=40, batch_size=128, crop=4, shards=2, **RATES),
    ),
    # Photographs: an encoder that has seen a million of them is worth more than any training on a few thousand.
    "photo": Recipe(
        data=DataConfig(dataset="photos", size=160, min_area=0.35),
        damage="everyday",
        model=ModelConfig(
            encoder=EncoderConfig("tf_efficientnet_lite0", pretrained=True, learning_rate=0.3, stem="standard"), **JOINT_DESIGN
        ),
        objective=replace(JOINT_OBJECTIVE, weight=1.0, max_psnr=40.0),
        training=TrainingConfig(
            epochs=20, batch_size=32, optimizer="adamw", learning_rate=2e-3, weight_decay=0.05, schedule="cosine", crop=0, flip="random"
        ),
    ),
    "reference": Recipe(
        model=ModelConfig(**JOINT_DESIGN),
        objective=JOINT_OBJECTIVE,
        training=TrainingConfig(epochs=60, batch_size=512, learning_rate=0.12, compile=True),
    ),
    # Section 5 of the paper: Adam at 1e-4, lambda 0.1, crop and flip, ResNet-18. What it doesn't print is what its readers would take.
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
        """Those settings of a section that lie under a prefix, all at once, since some are valid together only."""
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
    """A recipe as plain values that JSON and YAML can hold; `--config` of the command line reads them back."""
    plain: dict[str, Any] = _plain(asdict(recipe))
    return plain


BEFORE: dict[str, Any] = {
    "data.size": None,
    "data.min_area": 1.0,
    "data.folds": 5,
    "data.fold": 0,
    "data.labels": 0,
    "data.unlabelled": True,
    "data.labelled_share": 0.5,
    "model.damage_head": False,
    "model.encoder.weights": None,
    "model.encoder.frozen": False,
    "model.encoder.learning_rate": 1.0,
    "model.decoder.last_stage": "shared",
    "model.decoder.condition_on_class": False,
    "model.decoder.condition_on_damage": False,
    "objective.balance": "fixed",
    "objective.max_psnr": 80.0,
    "objective.damage_weight": 0.1,
    "objective.distillation": 0.0,
    "objective.teacher_sees": "clean",
    "training.head_learning_rate": None,
    "training.small_images": 0.0,
    "training.shards": 1,
    "training.start": None,
    "training.shuffle_guidance": False,
}
"""Settings that recipes have not always had, and what was done before there was a choice. Whoever adds a setting adds it here."""

RENAMED = {"training.average": "training.ema_horizon"}
"""Settings that were called otherwise."""

WITHOUT_EFFECT = ("data.source", "training.save_minutes")
"""Settings that change nothing of what a run computes."""


def completed(older: dict[str, Any]) -> dict[str, Any]:
    """Settings as they were written, by today's names, and what was done before some of today's existed; others stay missing."""
    filled: dict[str, Any] = deepcopy(older)
    if "model" in filled:
        filled["model"] = upgraded(filled["model"])
    for old, new in RENAMED.items():
        part, _, setting = old.partition(".")
        if setting in filled.get(part, {}):
            filled[part][new.partition(".")[2]] = filled[part].pop(setting)
    if isinstance(damage := filled.get("damage"), dict) and "steps" in damage:  # steps have not always had relative lengths
        filled["damage"] = damage | {"steps": [{"relative": False} | step for step in damage["steps"]]}
    for name, value in BEFORE.items():
        *parts, setting = name.split(".")
        section = filled
        for part in parts:
            section = section.setdefault(part, {})
        section.setdefault(setting, value)
    return filled


def as_started(recipe: Recipe, older: dict[str, Any]) -> Recipe:
    """The recipe with what a run of it settled when it began, `older` its settings: the precision, where the recipe leaves it open."""
    if recipe.training.precision != "auto":
        return recipe
    return replace(recipe, training=replace(recipe.training, precision=older["training"]["precision"]))


def differences(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> list[str]:
    """Which settings that change what a run computes differ, as `training.epochs: 6 -> 12`."""
    lines = []
    for name in sorted(one.keys() | other.keys()):
        before, after = one.get(name), other.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{prefix}{name}.")
        elif before != after and prefix + name not in WITHOUT_EFFECT:
            lines.append(f"{prefix}{name}: {before} -> {after}")
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
