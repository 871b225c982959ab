"""The arms of a comparison: each changes the recipe that all of them start from, and names the arms that it is compared with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pellucid.recipe import DataConfig, Recipe, changed

Change = Callable[[Recipe], Recipe]


@dataclass(frozen=True, slots=True)
class Arm:
    """One contestant.

    change: from the recipe that a comparison starts from to that of this arm; it sets all that the arm stands for, whatever the recipe has.
    baselines: names of the arms that it is compared with, where they take part.
    """

    change: Change
    baselines: tuple[str, ...] = ()


def change(part: str, **settings: Any) -> Change:
    """Changes settings of one part of a recipe, such as `change("model.decoder", last_stage="read")`."""
    return lambda recipe: changed(recipe, {f"{part}.{name}": value for name, value in settings.items()})


def chain(*changes: Change) -> Change:
    """One change after the other."""

    def chained(recipe: Recipe) -> Recipe:
        for each in changes:
            recipe = each(recipe)
        return recipe

    return chained


alone = chain(
    change("model.decoder", condition_on_class=False, condition_on_damage=False),
    change("model", damage_head=False),
    change("training", shuffle_guidance=False),
    change("objective", distillation=0.0, balance="fixed"),
)
"""Leaves out what one task tells the other, and the third task."""

plain = chain(alone, change("model.decoder", last_stage="shared"))
"""Leaves out what each task has for itself, too."""

classify = chain(alone, change("model", architecture="joint", tasks="classify"))
restore = chain(alone, change("model", architecture="joint", tasks="restore"))
restore_l1 = chain(restore, change("objective", restoration="l1", weight=1.0))
sequential = chain(alone, change("model", architecture="sequential", tasks="both"))
joint_plain = chain(plain, change("model", architecture="joint", tasks="both"), change("objective", weight=0.1, restoration="l1"))
paper_listing = chain(plain, change("model", architecture="paper-listing", tasks="both"), change("objective", weight=0.1, restoration="l1"))

joint = change("model", architecture="joint", tasks="both")
"""The joint network as the recipe has it."""

design = chain(alone, change("model.decoder", last_stage="read"), change("model", architecture="joint", tasks="both", damage_head=True))
"""The joint network from which the mechanisms are told apart, one change each."""


def joint_equal(recipe: Recipe) -> Recipe:
    """The full design, as wide as the costs of `classify` and `restore` together allow."""
    from pellucid.experiments.cost import macs_of, widen  # needs torch, which the command line does without

    return widen(joint(recipe), macs_of(classify(recipe)) + macs_of(restore(recipe)))


def everyday(recipe: Recipe) -> Recipe:
    """Train on suite `everyday`; restored images of 40 dB are good enough, lest the clean ones outweigh all others."""
    return change("objective", max_psnr=40.0)(replace(recipe, damage="everyday"))


LABELLED_PART = 10
"""One image in so many keeps its label in the protocol's track of few labels."""


def few_labels(recipe: Recipe) -> Recipe:
    """Keep one label in ten, unless the recipe says how many."""
    return change("data", labels=recipe.data.labels or max(1, _num_images(recipe.data) // LABELLED_PART))(recipe)


def labelled_only(recipe: Recipe) -> Recipe:
    """Train on the labelled images alone, for as many steps as the other arms take over all images."""
    from pellucid.loader import num_batches  # needs torch, like the rest of these

    recipe, size = few_labels(recipe), recipe.training.batch_size
    epochs = recipe.training.epochs * num_batches(_num_images(recipe.data), size) / num_batches(recipe.data.labels, size)
    return chain(change("data", unlabelled=False), change("training", epochs=epochs))(recipe)


@cache
def _num_images(of: DataConfig) -> int:
    """The images that are trained on, with or without a label."""
    return len(replace(of, labels=0, unlabelled=True).splits().train)
