"""A comparison is a value: a question, the recipe that all arms start from, the arms, and the tracks on which they are measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pellucid.errors import UserError
from pellucid.evaluation import TRACKS
from pellucid.experiments import arms
from pellucid.experiments.arms import Arm, Change, chain, change
from pellucid.recipe import Recipe, changed, differences, settings


@dataclass(frozen=True)
class Comparison:
    """What is asked, and of whom.

    question: in words; base: the recipe that all arms start from; arms: by name, in the order of the report; tracks: names out of `TRACKS`.
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
        """What is compared: every arm with those of its baselines that take part, or all with the first one where no baseline does."""
        named = tuple((name, baseline) for name, arm in self.arms.items() for baseline in arm.baselines if baseline in self.arms)
        first, *others = self.arms
        return named or tuple((other, first) for other in others if not {first, other} <= set(SINGLE))

    def only(self, arms: Sequence[str] | None = None, tracks: Sequence[str] | None = None) -> "Comparison":
        """The same question, asked of these arms and on these tracks alone; `None` for all of them."""
        if unknown := [name for name in arms or () if name not in self.arms]:
            raise UserError(f"Expected arms among {', '.join(self.arms)}, found {', '.join(unknown)}; choose from these.")
        chosen = {name: arm for name, arm in self.arms.items() if arms is None or name in arms}
        return replace(self, arms=chosen, tracks=tuple(tracks or self.tracks))


SINGLE = ("classify", "restore")
"""The single-task arms, which every joint network has to beat."""

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
"""The arms of the protocol; `restore` is trained on what it is measured by, like the others, `restore-l1` on the protocol's L1."""


def _mechanism(part: str, **settings: Any) -> Arm:
    """The joint design with one mechanism more or less, compared with it as it is."""
    return Arm(chain(arms.design, change(part, **settings)), ("joint",))


def _guided(name: str, **decoder: Any) -> dict[str, Arm]:
    """The joint design with a mechanism that tells the decoder something, and its control, which is told of another image."""
    guided, control = change("model.decoder", **decoder), f"{name}-shuffled"
    return {
        name: Arm(chain(arms.design, guided), ("joint", control)),
        control: Arm(chain(arms.design, guided, change("training", shuffle_guidance=True)), ("joint",)),
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
    **_guided("joint-class-to-decoder", condition_on_class=True),
    **_guided("joint-damage-to-decoder", condition_on_damage=True),
    "joint-clean-teacher": _teacher("joint-degraded-teacher"),
    "joint-degraded-teacher": _teacher(sees="degraded"),
}
"""What one task may tell the other, one mechanism at a time, each beside its control, which is told of another image or of the same."""


def _balanced(balance: str, baseline: str = "joint", **objective: Any) -> Arm:
    """The joint network whose tasks are balanced in another way, compared with that of a fixed weight."""
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
"""How the tasks are balanced; uncertainty and DWA need a positive loss of restoration: they have L1, and a control with it."""


LOW_LABEL: dict[str, Arm] = {
    "classify": Arm(chain(arms.labelled_only, arms.classify)),
    "restore": Arm(chain(arms.restore, change("data", labels=0))),
    "joint": Arm(chain(arms.few_labels, arms.joint), (*SINGLE, "joint-labelled-only")),
    "joint-clean-teacher": Arm(chain(arms.few_labels, arms.joint, change("objective", distillation=1.0)), (*SINGLE, "joint")),
    "joint-labelled-only": Arm(chain(arms.labelled_only, arms.joint), SINGLE),
}
"""One label in ten: does restoring the images without a label help to classify? `restore` needs none, and draws all images alike."""


FEW_IMAGES: dict[str, Arm] = {
    "classify": Arm(chain(arms.labelled_only, arms.classify)),
    "restore": Arm(chain(arms.labelled_only, arms.restore)),
    "joint": Arm(chain(arms.labelled_only, arms.joint), SINGLE),
    "joint-equal": Arm(chain(arms.labelled_only, arms.joint, arms.joint_equal), (*SINGLE, "joint")),
}
"""One image in ten and nothing else, for as many steps as over all: what most users have."""


def _of_everyday(*changes: Change, baselines: tuple[str, ...] = ()) -> Arm:
    """An arm that learns mixed damage, clean images among it, which must not outweigh the others."""
    return Arm(chain(arms.everyday, *changes), baselines)


_guidance = chain(arms.design, change("model.decoder", condition_on_damage=True))

EVERYDAY: dict[str, Arm] = {
    "classify": _of_everyday(arms.design, arms.classify),
    "restore": _of_everyday(arms.design, arms.restore),
    "restore-damage-head": _of_everyday(arms.design, arms.restore, change("model", damage_head=True), baselines=("restore",)),
    "joint": _of_everyday(arms.design, baselines=SINGLE),
    "joint-without-damage-head": _of_everyday(arms.design, change("model", damage_head=False), baselines=("joint",)),
    "joint-damage-to-decoder": _of_everyday(_guidance, baselines=(*SINGLE, "joint", "joint-damage-to-decoder-shuffled")),
    "joint-damage-to-decoder-shuffled": _of_everyday(_guidance, change("training", shuffle_guidance=True), baselines=("joint",)),
}
"""Under mixed damage: what is it worth to know which damage an image has?"""


QUESTIONS: dict[str, tuple[str, dict[str, Arm], tuple[str, ...]]] = {
    "reference": ("Does learning to restore and to classify together help both?", REFERENCE, ("reference",)),
    "low-label": ("Does restoring the images that have no label help to classify?", LOW_LABEL, ("low-label",)),
    "few-images": ("Does learning both help where there are few images?", FEW_IMAGES, ("reference",)),
    "everyday": ("Does it help to know the damage?", EVERYDAY, ("everyday",)),
    "balancers": ("How should the two tasks be balanced?", BALANCING, ("reference",)),
    "mechanisms": ("Which mechanism makes one task help the other?", MECHANISMS, ("reference",)),
}
"""By name: the question, its arms, its tracks."""


def build_comparison(name: str, base: Recipe) -> Comparison:
    """The comparison of that name, starting from a recipe."""
    question, its_arms, tracks = QUESTIONS[name]
    return Comparison(question, base, its_arms, tracks)


def at_values(comparison: Comparison, setting: str, values: Sequence[str]) -> dict[str, Comparison]:
    """The comparison with each value of a setting such as `training.epochs`, by the value as it was written.

    Raises `UserError` for a setting that recipes don't have, for a value that it can't take, and for a value that is there twice.
    """
    if len(set(values)) < len(values):
        raise UserError(f"Expected every value of {setting} once, found {' '.join(values)}; leave out the others.")
    return {value: replace(comparison, base=_set(comparison.base, setting, value)) for value in values}


def _set(recipe: Recipe, setting: str, value: str) -> Recipe:
    import yaml

    try:
        parsed = yaml.safe_load(value)
        return changed(recipe, {setting: tuple(parsed) if isinstance(parsed, list) else parsed})
    except UserError:
        raise
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise UserError(f"Expected a value that {setting} can take, found '{value}' ({error}); correct it.") from error
