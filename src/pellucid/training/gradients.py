"""Do the two tasks pull the shared layers the same way? The gradients of their losses, compared layer by layer.

A cosine above 0 says that a step for one task also helps the other, below 0 that they compete (Yu et al. 2020, PCGrad, section 2).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

ALL = "all"

DEPTH = 3
"""Components of a parameter's name that make its layer, such as `encoder.network.layer1`."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """By layer that both losses reach, and over `ALL` of them: the cosine of their gradients, and the second's norm over the first's."""

    cosine: dict[str, float]
    ratio: dict[str, float]


def compare_gradients(classification: Tensor, restoration: Tensor, network: nn.Module, backward: Callable[..., None]) -> Gradients:
    """The gradients of two losses with respect to the network's parameters, compared.

    backward: `Tensor.backward` or, in its place, Fabric's. Leaves the graph for the training's own backward pass, and no `.grad`.
    """
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    parameters = [parameter for _, parameter in named]
    gradients = []
    for loss in (classification, restoration):
        network.zero_grad(set_to_none=True)
        backward(loss, retain_graph=True)
        gradients.append([parameter.grad for parameter in parameters])
    network.zero_grad(set_to_none=True)
    products: dict[str, list[float]] = {}
    for (name, _), first, second in zip(named, *gradients, strict=True):
        if first is not None and second is not None:
            for layer in (".".join(name.split(".")[:DEPTH]), ALL):
                sums = products.setdefault(layer, [0.0, 0.0, 0.0])
                for place, product in enumerate(_products(first.double(), second.double())):
                    sums[place] += product
    cosines = {layer: cross / (a * b) ** 0.5 if a * b else 0.0 for layer, (cross, a, b) in products.items()}
    ratios = {layer: (b / a) ** 0.5 if a else 0.0 for layer, (_, a, b) in products.items()}
    return Gradients(cosines, ratios)


def _products(one: Tensor, other: Tensor) -> Iterator[float]:
    """Inner products of the two, of the first with itself, of the second with itself."""
    yield from ((one * other).sum().item(), one.square().sum().item(), other.square().sum().item())
