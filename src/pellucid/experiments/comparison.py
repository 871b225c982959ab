"""A comparison: a question, the base recipe, the arms, and the tracks on which they are evaluated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pellucid.errors import UserError
from pellucid.evaluation import TRACKS
from pellucid.experiments import arms
from pellucid.experiments.arms import Arm, Change, chain, change
from pellucid.recipe import Recipe, changed, differences, settings


@dataclass(frozen=True)
class Comparison:
    """A comparison of arms.

    question: as text; base: the recipe that all arms change; arms: by name, in the order of the report; tracks: keys of `TRACKS`.
    """

    question: str
    base: Recipe
    arms: Mapping[str, Arm]
    tracks: tuple[str, ...] = ("reference",)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.tracks) - set(TRACKS)):
            raise UserError(f"Expected tracks among {', '.join(TRACKS)}, found {', '.join(unknown)}; choose from these.")
        if self.base.training.max_minutes:
            raise UserError(
                f"Expected a comparison to count steps, found max_minutes {self.base.training.max_minutes:g}, by which the clock would "
                "decide how many each arm gets; set it to 0, and how long to train by training.epochs."
            )
        if "sequential" in self.arms and "restore" not in self.arms:
            raise UserError("Expected the arm 'restore' beside 'sequential', whose restorer it trains, found none; add it.")

    def recipe(self, arm: str, seed: int) -> Recipe:
        """The recipe of one run."""
        return change("training", seed=seed)(self.arms[arm].change(self.base))

    def changes(self, arm: str) -> list[str]:
        """How an arm differs from the base, as `model.tasks: both -> classify`."""
        return differences(settings(self.base), settings(self.arms[arm].change(self.base)))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The compared pairs: every arm and those of its baselines that take part; without any, all arms and the first one."""
        named = tuple((name, baseline) for name, arm in self.arms.items() for baseline in arm.baselines if baseline in self.arms)
        first, *others = self.arms
        return named or tuple((other, first) for other in others if not {first, other} <= set(SINGLE))

    def only(self, arms: Sequence[str] | None = None, tracks: Sequence[str] | None = None) -> "Comparison":
        """The comparison restricted to these arms and tracks; `None` for all of them."""
        if unknown := [name for name in arms or () if name not in self.arms]:
            raise UserError(f"Expected arms among {', '.join(self.arms)}, found {', '.join(unknown)}; choose from these.")
        chosen = {name: arm for name, arm in self.arms.items() if arms is None or name in arms}
        return replace(self, arms=chosen, tracks=tuple(tracks or self.tracks))


SINGLE = ("classify", "restore")
"""The single-task arms, the baselines of every joint network."""

REFERENCE: dict[str, Arm] = {
    "classify": Arm(arms.classify),
    "restore": Arm(arms.restore),
    "restore-l1": Arm(arms.restore_l1, ("restore",)),
    "sequential": Arm(arms.sequential, SINGLE),
    "joint-plain": Arm(arms.joint_plain, SINGLE),
    "joint": Arm(arms.joint, (*SINGLE, "sequential", "joint-plain", "paper-listing")),
    "joint-equal": Arm(arms.joint_equal, (*SINGLE, "sequential", "joint")),
    "paper-listing": Arm(arms.paper_listing, SINGLE),
}
"""The arms of the protocol; `restore`, like the others, is trained on the evaluated metric, `restore-l1` on the protocol's L1."""


def _mechanism(part: str, **settings: Any) -> Arm:
    """The joint design with one mechanism added or removed, compared with the unchanged design."""
    return Arm(chain(arms.design, change(part, **settings)), ("joint",))


def _conditioned(name: str, **decoder: Any) -> dict[str, Arm]:
    """The joint design with a conditioned decoder, and its control, conditioned on another image."""
    conditioned, control = change("model.decoder", **decoder), f"{name}-shuffled"
    return {
        name: Arm(chain(arms.design, conditioned), ("joint", control)),
        control: Arm(chain(arms.design, conditioned, change("training", shuffle_guidance=True)), ("joint",)),
    }


def _teacher(control: str | None = None, sees: str = "clean") -> Arm:
    """The joint design with its own averaged weights as a teacher."""
    taught = change("objective", distillation=1.0, teacher_sees=sees)
    return Arm(chain(arms.design, taught), ("joint", control) if control else ("joint",))


MECHANISMS: dict[str, Arm] = {
    "classify": Arm(chain(arms.design, arms.classify)),
    "restore": Arm(chain(arms.design, arms.restore)),
    "joint": Arm(arms.design, SINGLE),
    "joint-last-stage-shared": _mechanism("model.decoder", last_stage="shared"),
    "joint-without-damage-head": _mechanism("model", damage_head=False),
    **_conditioned("joint-class-to-decoder", condition_on_class=True),
    **_conditioned("joint-damage-to-decoder", condition_on_damage=True),
    "joint-clean-teacher": _teacher("joint-degraded-teacher"),
    "joint-degraded-teacher": _teacher(sees="degraded"),
}
"""Mechanisms by which one task informs the other, one at a time, each with its control."""


def _balanced(balance: str, baseline: str = "joint", **objective: Any) -> Arm:
    """The joint network with another balance of the tasks, compared with the fixed weight."""
    return Arm(chain(arms.joint, change("objective", balance=balance, **objective)), (*SINGLE, baseline))


BALANCING: dict[str, Arm] = {
    "classify": Arm(arms.classify),
    "restore": Arm(arms.restore),
    "joint": Arm(chain(arms.joint, change("objective", balance="fixed")), SINGLE),
    "joint-gradnorm": _balanced("gradnorm", weight=1.0),
    "joint-pcgrad": _balanced("torchjd:PCGrad"),
    "joint-mgda": _balanced("torchjd:MGDA"),
    "joint-imtl-g": _balanced("torchjd:IMTLG"),
    "joint-aligned-mtl": _balanced("torchjd:AlignedMTL"),
    "joint-l1": _balanced("fixed", restoration="l1", weight=20.0),
    "joint-l1-uncertainty": _balanced("uncertainty", "joint-l1", restoration="l1", weight=20.0),
    "joint-l1-dwa": _balanced("dwa", "joint-l1", restoration="l1", weight=20.0),
}
"""Balances of the tasks; uncertainty and DWA need a positive restoration loss, so they and their control use L1."""


LOW_LABEL: dict[str, Arm] = {
    "classify": Arm(chain(arms.labelled_only, arms.classify)),
    "restore": Arm(chain(arms.restore, change("data", labels=0))),
    "classify-clean-teacher": Arm(chain(arms.few_labels, arms.classify, change("objective", distillation=1.0)), ("classify",)),
    "joint": Arm(chain(arms.few_labels, arms.joint), (*SINGLE, "joint-labelled-only")),
    "joint-clean-teacher": Arm(
        chain(arms.few_labels, arms.joint, change("objective", distillation=1.0)), (*SINGLE, "classify-clean-teacher", "joint")
    ),
    "joint-labelled-only": Arm(chain(arms.labelled_only, arms.joint), SINGLE),
}
"""One label in ten: does restoring unlabelled images help to classify? `restore` uses no labels, and samples all images uniformly."""


FEW_IMAGES: dict[str, Arm] = {
    "classify": Arm(chain(arms.labelled_only, arms.classify)),
    "restore": Arm(chain(arms.labelled_only, arms.restore)),
    "joint": Arm(chain(arms.labelled_only, arms.joint), SINGLE),
    "joint-equal": Arm(chain(arms.labelled_only, arms.joint, arms.joint_equal), (*SINGLE, "joint")),
}
"""One image in ten, for as many steps as over all images."""


def _everyday(*changes: Change, baselines: tuple[str, ...] = ()) -> Arm:
    """An arm trained on mixed damage, including clean images, which must not outweigh the others."""
    return Arm(chain(arms.everyday, *changes), baselines)


_damage_conditioned = chain(arms.design, change("model.decoder", condition_on_damage=True))

EVERYDAY: dict[str, Arm] = {
    "classify": _everyday(arms.design, arms.classify),
    "restore": _everyday(arms.design, arms.restore),
    "restore-damage-head": _everyday(arms.design, arms.restore, change("model", damage_head=True), baselines=("restore",)),
    "joint": _everyday(arms.design, baselines=SINGLE),
    "joint-without-damage-head": _everyday(arms.design, change("model", damage_head=False), baselines=("joint",)),
    "joint-damage-to-decoder": _everyday(_damage_conditioned, baselines=(*SINGLE, "joint", "joint-damage-to-decoder-shuffled")),
    "joint-damage-to-decoder-shuffled": _everyday(_damage_conditioned, change("training", shuffle_guidance=True), baselines=("joint",)),
}
"""Under mixed damage: does estimating the damage help?"""


QUESTIONS: dict[str, tuple[str, dict[str, Arm], tuple[str, ...]]] = {
    "reference": ("Does learning to restore and to classify together help both?", REFERENCE, ("reference",)),
    "low-label": ("Does restoring the images that have no label help to classify?", LOW_LABEL, ("low-label",)),
    "few-images": ("Does learning both help where there are few images?", FEW_IMAGES, ("reference",)),
    "everyday": ("Does it help to know the damage?", EVERYDAY, ("everyday",)),
    "balancers": ("How should the two tasks be balanced?", BALANCING, ("reference",)),
    "mechanisms": ("Which mechanism makes one task help the other?", MECHANISMS, ("reference",)),
}
"""By name: the question, its arms, its tracks. As in the protocol, `reference` is also the name of a track and of its suite of damage."""


def build_comparison(name: str, base: Recipe) -> Comparison:
    """The comparison of that name, starting from a recipe; raises `UserError` for a seed, which every run has of its own."""
    if seed := base.training.seed:
        raise UserError(
            f"Expected no training.seed of a comparison, whose runs have the seeds 0, 1, ..., found {seed}; set their number by --seeds."
        )
    question, its_arms, tracks = QUESTIONS[name]
    return Comparison(question, base, its_arms, tracks)


SHARED = (
    "training.seed",
    "training.max_minutes",
    *(f"data.{name}" for name in ("dataset", "source", "size", "folds", "fold", "validation", "validation_share")),
)
"""Settings that all arms share: of the runs, and of the images that they are measured on. If some are held out of the training images,
those depend on `data.limit`, too."""


def tuned(comparison: Comparison, tunings: Sequence[Sequence[str]]) -> Comparison:
    """The comparison with settings of single arms, each as (arm, setting, value), such as ("joint", "training.learning_rate", "0.17").

    Raises `UserError` for unknown arms and settings, for settings that all arms share, and for invalid values.
    """
    its_arms = dict(comparison.arms)
    for arm, setting, value in tunings:
        if arm not in its_arms:
            raise UserError(f"Expected arms among {', '.join(its_arms)}, found {arm}; choose from these.")
        selects = setting == "data.limit" and (comparison.base.data.validation or comparison.base.data.validation_share)
        if setting in SHARED or selects:
            raise UserError(f"Expected a setting that arms may differ in, found {setting}; leave it out.")
        its_arms[arm] = replace(its_arms[arm], change=chain(its_arms[arm].change, partial(_set, setting=setting, value=value)))
        its_arms[arm].change(comparison.base)  # refuses what is invalid before anything is trained
    return replace(comparison, arms=its_arms)


def at_values(comparison: Comparison, setting: str, values: Sequence[str]) -> dict[str, Comparison]:
    """The comparison with each value of a setting such as `training.epochs`, by the value as text.

    Raises `UserError` for unknown settings, and for invalid or duplicate values.
    """
    if len(set(values)) < len(values):
        raise UserError(f"Expected every value of {setting} once, found {' '.join(values)}; leave out the others.")
    return {value: replace(comparison, base=_set(comparison.base, setting, value)) for value in values}


def _set(recipe: Recipe, setting: str, value: str) -> Recipe:
    import yaml

    try:
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = yaml.safe_load(value)  # for which 1e-3 is text
        return changed(recipe, {setting: tuple(parsed) if isinstance(parsed, list) else parsed})
    except UserError:
        raise
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise UserError(f"Expected a value that {setting} can take, found '{value}' ({error}); correct it.") from error
