"""A network -> the parameters in which its two tasks meet, and a task's gradients there."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from pellucid.batch import Output

Backward = Callable[..., None]
"""A loss and the keywords of `Tensor.backward` -> nothing, the gradients added to `.grad`; such as Fabric's `backward`."""


def shared_parameters(network: nn.Module, images: Tensor) -> dict[str, nn.Parameter]:
    """The trainable parameters that both answers depend on, by name; of a single-task arm, none.

    network: not compiled, because a compiled graph gives zeros for what it does not reach; images: a few, (B, 3, H, W). The estimate of the
    damage counts with the restoration. Found by differentiation, in evaluation mode so that no running statistics move.
    """
    training = network.training
    with torch.enable_grad():
        output: Output = network.eval()(images)
    network.train(training)
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    classified = _reached([output.logits], list(named.values()))
    restored = _reached([output.restored, output.presence, output.strength, output.hole], list(named.values()))
    if output.restored is None:  # a damage head beside the class head makes no second task
        return {}
    return {name: named[name] for name, one, other in zip(named, classified, restored, strict=True) if one and other}


def gradients_at(parameters: Iterable[nn.Parameter], loss: Tensor, backward: Backward) -> list[Tensor]:
    """The gradients of a loss with respect to parameters whose `.grad` is empty, before and afterwards; the graph stays."""
    parameters = list(parameters)
    backward(loss, retain_graph=True, inputs=parameters)
    return take_gradients(parameters)


def take_gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """What is in `.grad`, zeros where there is nothing; it is empty afterwards."""
    gradients = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return gradients


def _reached(answers: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> list[bool]:
    """Which parameters any of the answers depends on."""
    sums = [answer.float().sum() for answer in answers if answer is not None and answer.requires_grad]
    if not sums:
        return [False] * len(parameters)
    return [gradient is not None for gradient in torch.autograd.grad(sums, parameters, retain_graph=True, allow_unused=True)]
