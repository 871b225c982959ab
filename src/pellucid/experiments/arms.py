"""The arms of a comparison: each changes the base recipe, and names its baselines."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pellucid.errors import UserError
from pellucid.recipe import DataConfig, Recipe, changed

Change = Callable[[Recipe], Recipe]


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant of the comparison.

    change: the base recipe -> the recipe of the arm; sets everything that defines the arm, whatever the base recipe has. baselines: names
    of the arms that it is compared with, if they take part.
    """

    change: Change
    baselines: tuple[str, ...] = ()


def change(part: str, **settings: Any) -> Change:
    """Changes settings of one part of a recipe, such as `change("model.decoder", last_stage="read")`."""
    return lambda recipe: changed(recipe, {f"{part}.{name}": value for name, value in settings.items()})


def chain(*changes: Change) -> Change:
    """Apply changes in order."""

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
"""Removes the conditioning of the decoder, the damage head, distillation and adaptive balances."""

plain = chain(alone, change("model.decoder", last_stage="shared"))
"""Also trains the last stage of the encoder by both tasks."""

classify = chain(alone, change("model", architecture="joint", tasks="classify"))
restore = chain(alone, change("model", architecture="joint", tasks="restore"))
restore_l1 = chain(restore, change("objective", restoration="l1", weight=1.0))
sequential = chain(alone, change("model", architecture="sequential", tasks="both"))
joint_plain = chain(plain, change("model", architecture="joint", tasks="both"), change("objective", weight=0.1, restoration="l1"))
paper_listing = chain(plain, change("model", architecture="paper-listing", tasks="both"), change("objective", weight=0.1, restoration="l1"))

joint = change("model", architecture="joint", tasks="both")
"""The joint network of the recipe."""

design = chain(alone, change("model.decoder", last_stage="read"), change("model", architecture="joint", tasks="both", damage_head=True))
"""The joint network that each mechanism changes."""


def joint_equal(recipe: Recipe) -> Recipe:
    """The joint network, widened to the total cost of `classify` and `restore`; raises `UserError` for a pretrained encoder."""
    from pellucid.experiments.cost import macs_of, widen  # imports torch, which the command line does not need

    if recipe.model.encoder.pretrained or recipe.model.encoder.weights:
        raise UserError(
            "Expected an encoder without pretrained weights for the arm joint-equal, which is wider, found one with them; leave that arm "
            "out, such as by --arms classify restore joint."
        )
    return widen(joint(recipe), macs_of(classify(recipe)) + macs_of(restore(recipe)))


def everyday(recipe: Recipe) -> Recipe:
    """Train on suite `everyday`; the restoration loss saturates at 40 dB, so that clean images do not outweigh the others."""
    return change("objective", max_psnr=40.0)(replace(recipe, damage="everyday"))


LABELLED_PART = 10
"""One in this many images keeps its label in the protocol's low-label track."""


def few_labels(recipe: Recipe) -> Recipe:
    """Keep one label in ten, unless the recipe sets the number."""
    return change("data", labels=recipe.data.labels or max(1, _num_images(recipe.data) // LABELLED_PART))(recipe)


def labelled_only(recipe: Recipe) -> Recipe:
    """Train only on the labelled images, for the same number of steps as the other arms."""
    from pellucid.loader import num_batches  # imports torch

    recipe, size = few_labels(recipe), recipe.training.batch_size
    epochs = recipe.training.epochs * num_batches(_num_images(recipe.data), size) / num_batches(recipe.data.labels, size)
    return chain(change("data", unlabelled=False), change("training", epochs=epochs))(recipe)


@cache
def _num_images(config: DataConfig) -> int:
    """The number of training images, labelled or not."""
    return len(replace(config, labels=0, unlabelled=True).splits().train)
