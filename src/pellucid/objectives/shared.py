"""Determines the parameters that both tasks share, and the gradients of a loss with respect to them."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from pellucid.batch import Output

Backward = Callable[..., None]
"""Takes a loss and the keywords of `Tensor.backward`, and accumulates gradients in `.grad`; such as Fabric's `backward`."""


def shared_parameters(network: nn.Module, images: Tensor) -> dict[str, nn.Parameter]:
    """The trainable parameters that the outputs of both tasks depend on, by name; empty for a single-task arm.

    network: not compiled, because a compiled graph returns zeros for unused parameters; images: a small batch (B, 3, H, W). The damage
    estimate counts as restoration. Determined by differentiation, in evaluation mode so that running statistics do not change.
    """
    training = network.training
    with torch.enable_grad():
        output: Output = network.eval()(images)
    network.train(training)
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    classified = _reached([output.logits], list(named.values()))
    restored = _reached([output.restored, output.presence, output.strength, output.mask], list(named.values()))
    if output.restored is None:  # class and damage head only: a single task
        return {}
    return {name: named[name] for name, one, other in zip(named, classified, restored, strict=True) if one and other}


def gradients_at(parameters: Iterable[nn.Parameter], loss: Tensor, backward: Backward) -> list[Tensor]:
    """The gradients of a loss with respect to parameters; their `.grad` must be empty and stays empty; the graph is retained."""
    parameters = list(parameters)
    backward(loss, retain_graph=True, inputs=parameters)
    return take_gradients(parameters)


def take_gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The contents of `.grad`, zeros where it is `None`; `.grad` is then cleared."""
    gradients = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return gradients


def _reached(outputs: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> list[bool]:
    """Whether any of the outputs depends on each parameter."""
    sums = [output.float().sum() for output in outputs if output is not None and output.requires_grad]
    if not sums:
        return [False] * len(parameters)
    return [gradient is not None for gradient in torch.autograd.grad(sums, parameters, retain_graph=True, allow_unused=True)]
