"""Arms: functions from the recipe that a comparison starts from to the recipe of one contestant."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from pellucid.recipe import DataConfig, Recipe

Arm = Callable[[Recipe], Recipe]


def change(part: str, **settings: Any) -> Arm:
    """An arm that changes settings of one part of a recipe, such as `change("model", arm="classify")`."""
    return lambda recipe: replace(recipe, **{part: replace(getattr(recipe, part), **settings)})


def chain(*arms: Arm) -> Arm:
    """One arm after the other."""

    def chained(recipe: Recipe) -> Recipe:
        for arm in arms:
            recipe = arm(recipe)
        return recipe

    return chained


alone = chain(
    change("model", decoded_to_class="off", class_to_decoder="off", damage_head=False, damage_to_decoder="off"),
    change("objective", distillation=0.0, balance="fixed"),
)
"""Leaves out what one task tells the other, and the third task."""

plain = chain(alone, change("model", last_stage="shared", context_width=0))
"""Leaves out what each task has for itself, too."""

classify = chain(alone, change("model", arm="classify"))
restore = chain(alone, change("model", arm="restore"))
restore_l1 = chain(restore, change("objective", restoration="l1", weight=1.0))
sequential = chain(alone, change("model", arm="sequential"))
joint_plain = chain(plain, change("objective", weight=0.1, restoration="l1"))
paper_listing = chain(plain, change("model", arm="paper-listing"), change("objective", weight=0.1, restoration="l1"))


def joint(recipe: Recipe) -> Recipe:
    """The full design, as the recipe has it."""
    return recipe


def joint_equal(recipe: Recipe) -> Recipe:
    """The full design, as wide as the costs of `classify` and `restore` together allow."""
    from pellucid.experiments.cost import macs_of, widen  # needs torch, which the command line does without

    return widen(recipe, macs_of(classify(recipe)) + macs_of(restore(recipe)))


LABELLED_PART = 10
"""One image in so many keeps its label in the protocol's track of few labels."""


def few_labels(recipe: Recipe) -> Recipe:
    """Keep one label in ten, unless the recipe says how many."""
    return change("data", labels=recipe.data.labels or _num_images(recipe.data) // LABELLED_PART)(recipe)


def supervised(recipe: Recipe) -> Recipe:
    """A classifier of the labelled images alone, with as many steps as the other arms take over all images."""
    recipe = few_labels(recipe)
    epochs = round(recipe.training.epochs * _num_images(recipe.data) / recipe.data.labels)
    return chain(classify, change("data", unlabelled=False), change("training", epochs=epochs))(recipe)


def labelled_only(recipe: Recipe) -> Recipe:
    """The joint network on the labelled images alone, with as many steps: what the unlabelled ones are worth shows against it."""
    recipe = few_labels(recipe)
    epochs = round(recipe.training.epochs * _num_images(recipe.data) / recipe.data.labels)
    return chain(change("data", unlabelled=False), change("training", epochs=epochs))(recipe)


@cache
def _num_images(of: DataConfig) -> int:
    """The images that are trained on, with or without a label."""
    from pellucid import data  # needs torch, like the rest of these
    from pellucid.run import training_images

    everything = Recipe(data=replace(of, labels=0, unlabelled=True))
    return len(training_images(everything, data.load(of.dataset, of.source).train)[0])
