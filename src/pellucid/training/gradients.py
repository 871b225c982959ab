"""Compares the gradients of the two tasks by layer.

A positive cosine means that a step for one task also helps the other, a negative one a conflict (Yu et al. 2020, PCGrad, section 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.double import double
from pellucid.objectives.shared import Backward, gradients_at

ALL = "all"

DEPTH = 3
"""Number of components of a parameter's name that identify its layer, such as `encoder.network.layer1`."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """For each shared layer, and over `ALL` of them: the cosine of the two gradients, and the norm of the second divided by the first's.

    Both are 0 if either gradient is 0, as without labels.
    """

    cosine: dict[str, float]
    ratio: dict[str, float]


def compare_gradients(classification: Tensor, restoration: Tensor, shared: Mapping[str, nn.Parameter], backward: Backward) -> Gradients:
    """Compare the gradients of two losses with respect to their shared parameters.

    Retains the graph for the training step's backward pass; `.grad` must be empty and stays empty.
    """
    one, other = (gradients_at(shared.values(), loss, backward) for loss in (classification, restoration))
    products = torch.stack([_products(first, second) for first, second in zip(one, other, strict=True)]).cpu()
    layers: dict[str, Tensor] = {}
    for name, product in zip(shared, products, strict=True):
        layer = layer_of(name)
        layers[layer] = layers.get(layer, torch.zeros_like(product)) + product
    layers[ALL] = products.sum(0)
    sums: dict[str, list[float]] = {layer: product.tolist() for layer, product in layers.items()}
    return Gradients(
        cosine={layer: max(-1.0, min(1.0, cross / (a * b) ** 0.5)) if a * b else 0.0 for layer, (cross, a, b) in sums.items()},
        ratio={layer: (b / a) ** 0.5 if a else 0.0 for layer, (_, a, b) in sums.items()},
    )


def layer_of(name: str) -> str:
    """The layer of a parameter: an encoder stage, the stem, or the first components of its name.

    >>> [layer_of(f"encoder.network.{name}.weight") for name in ("conv1", "layer1.0.bn1", "stages_2.blocks.0.mlp.fc1", "blocks.1.0.se")]
    ['encoder.network.stem', 'encoder.network.layer1', 'encoder.network.stages_2', 'encoder.network.blocks.1']
    >>> layer_of("decoder.blocks.0.0.weight")
    'decoder.blocks.0'
    """
    *path, _ = name.split(".")
    if path[:2] == ["encoder", "network"] and len(path) <= DEPTH:
        return "encoder.network.stem"
    numbered = len(path) > DEPTH and path[DEPTH].isdigit() and not path[DEPTH - 1][-1].isdigit()
    return ".".join(path[: DEPTH + numbered])


def _products(one: Tensor, other: Tensor) -> Tensor:
    """(3,) in double precision: inner products of first and second, first and first, second and second."""
    first, second = double(one.flatten()), double(other.flatten())
    return torch.stack([first.dot(second), first.dot(first), second.dot(second)])
