"""A comparison is a value: a question, the recipe that all arms start from, the arms, and the tracks on which they are measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pellucid.errors import UserError
from pellucid.evaluation import TRACKS
from pellucid.experiments import arms
from pellucid.experiments.arms import Arm, chain, change
from pellucid.recipe import Recipe, differences, settings


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
        if "sequential" in self.arms and "restore" not in self.arms:
            raise UserError("Expected the arm 'restore' beside 'sequential', whose restorer it trains, found none; add it.")

    def recipe(self, arm: str, seed: int) -> Recipe:
        """The recipe of one run."""
        return change("training", seed=seed)(self.arms[arm](self.base))

    def changes(self, arm: str) -> list[str]:
        """How an arm differs from the base, as `model.arm: joint -> classify`."""
        return differences(settings(self.base), settings(self.arms[arm](self.base)))

    def only(self, arms: Sequence[str] | None = None, tracks: Sequence[str] | None = None) -> "Comparison":
        """The same question, asked of these arms and on these tracks alone; `None` for all of them."""
        if unknown := [name for name in arms or () if name not in self.arms]:
            raise UserError(f"Expected arms among {', '.join(self.arms)}, found {', '.join(unknown)}; choose from these.")
        chosen = {name: arm for name, arm in self.arms.items() if arms is None or name in arms}
        return replace(self, arms=chosen, tracks=tuple(tracks or self.tracks))


REFERENCE: dict[str, Arm] = {
    "classify": arms.classify,
    "restore": arms.restore,
    "restore-l1": arms.restore_l1,
    "sequential": arms.sequential,
    "joint-plain": arms.joint_plain,
    "joint": arms.joint,
    "joint-equal": arms.joint_equal,
    "paper-listing": arms.paper_listing,
}
"""The arms of the protocol; `restore` is trained on what it is measured by, like the others, `restore-l1` on the protocol's L1."""


MECHANISMS: dict[str, Arm] = {
    "classify": arms.classify,
    "restore": arms.restore,
    "joint": arms.joint,
    "joint-last-stage-shared": change("model", last_stage="shared"),
    "joint-last-stage-private": change("model", last_stage="private"),
    "joint-without-context": change("model", context_width=0),
    "joint-without-damage-head": change("model", damage_head=False),
    "joint-decoded-to-class": change("model", decoded_to_class="on"),
    "joint-decoded-to-class-shuffled": change("model", decoded_to_class="shuffled"),
    "joint-class-to-decoder": change("model", class_to_decoder="on"),
    "joint-class-to-decoder-shuffled": change("model", class_to_decoder="shuffled"),
    "joint-damage-to-decoder": change("model", damage_head=True, damage_to_decoder="on"),
    "joint-damage-to-decoder-shuffled": change("model", damage_head=True, damage_to_decoder="shuffled"),
    "joint-clean-teacher": change("objective", distillation=1.0),
    "joint-degraded-teacher": change("objective", distillation=1.0, teacher_sees="degraded"),
}
"""What one task may tell the other, one mechanism at a time, each beside its control, which is told of another image or of the same."""


BALANCERS: dict[str, Arm] = {
    "classify": arms.classify,
    "restore": arms.restore,
    "joint": arms.joint,
    "joint-gradnorm": change("objective", balance="gradnorm", weight=1.0),
    "joint-pcgrad": change("objective", balance="torchjd:PCGrad"),
    "joint-mgda": change("objective", balance="torchjd:MGDA"),
    "joint-imtl-g": change("objective", balance="torchjd:IMTLG"),
    "joint-aligned-mtl": change("objective", balance="torchjd:AlignedMTL"),
    "joint-l1": change("objective", restoration="l1", weight=20.0),
    "joint-l1-uncertainty": change("objective", restoration="l1", weight=20.0, balance="uncertainty"),
    "joint-l1-dwa": change("objective", restoration="l1", weight=20.0, balance="dwa"),
}
"""How the gradients of the two tasks meet; uncertainty and DWA need a positive loss of restoration: they have L1, and a control with it."""


LOW_LABEL: dict[str, Arm] = {
    "classify": arms.supervised,
    "restore": chain(arms.few_labels, arms.restore),
    "joint": arms.few_labels,
    "joint-clean-teacher": chain(arms.few_labels, change("objective", distillation=1.0)),
    "joint-labelled-only": arms.labelled_only,
}
"""One label in ten: does restoring the images without a label help to classify?"""


QUESTIONS: dict[str, tuple[str, dict[str, Arm], tuple[str, ...]]] = {
    "reference": ("Does learning to restore and to classify together help both?", REFERENCE, ("reference",)),
    "low-label": ("Does restoring the images that have no label help to classify?", LOW_LABEL, ("low-label",)),
    "balancers": ("How should the two tasks be balanced?", BALANCERS, ("reference",)),
    "mechanisms": ("Which mechanism makes one task help the other?", MECHANISMS, ("reference",)),
}
"""By name: the question, its arms, its tracks."""


def ask(name: str, base: Recipe) -> Comparison:
    """The comparison of that name, starting from a recipe."""
    question, its_arms, tracks = QUESTIONS[name]
    return Comparison(question, base, its_arms, tracks)
