"""A batch in parts that the cores of a CPU compute side by side.

torch spreads each operator over the cores by itself, but waits for the slowest of them after every one, and the gradients of weights scale
badly. Parts of a batch wait for one another once a step.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor, nn

from pellucid.batch import Batch, Damage, Output
from pellucid.objectives.joint import Losses

Part = TypeVar("Part")
Result = TypeVar("Result")


class Shards:
    """Replicas of a network, one for each part of a batch, that share its weights but not their gradients and buffers.

    The bits that come out are the same whether the parts go in turn or side by side: each is normalised by itself.

    Args:
        model: the network; its parameters stay where they are in memory, as under an optimiser.
        num_shards: parts of a batch.
    """

    def __init__(self, model: nn.Module, num_shards: int) -> None:
        self.model = model
        self.replicas = [_replica(model) for _ in range(num_shards)]
        num_threads = torch.get_num_threads()
        num_workers = 1 if _draws(model) else min(num_shards, num_threads)  # random layers draw from one generator: in turn
        self.pool = ThreadPoolExecutor(num_workers, initializer=_prepare_thread, initargs=(max(1, num_threads // num_workers),))

    def backward(
        self, parts: Sequence[Part], compute: Callable[[nn.Module, Part], Result], loss: Callable[[Result], Tensor]
    ) -> list[Result]:
        """Write the mean gradient of the parts' losses to the model's `.grad`, and the mean of the replicas' buffers to the model's.

        compute: a replica and its part of the batch -> what comes of it, returned here part by part; loss: that -> a scalar.
        """

        def work(replica: nn.Module, part: Part) -> Result:
            for buffer, source in zip(replica.buffers(), self.model.buffers(), strict=True):
                buffer.copy_(source)
            result = compute(replica, part)
            loss(result).backward()  # type: ignore[no-untyped-call]
            return result

        results = list(self.pool.map(work, self.replicas, parts))
        for parameter, *copies in zip(self.model.parameters(), *(each.parameters() for each in self.replicas), strict=True):
            gradients = [each.grad for each in copies if each.grad is not None]
            if gradients:
                parameter.grad = _mean(gradients)
            for each in copies:
                each.grad = None
        with torch.no_grad():
            for buffer, *copies in zip(self.model.buffers(), *(each.buffers() for each in self.replicas), strict=True):
                buffer.copy_(_mean(copies))
        return results


def split(batch: Batch, teacher: Tensor | None, num_parts: int) -> list[tuple[Batch, Tensor | None]]:
    """Parts of a batch, and of what a teacher says of it, of about equal size and in its order."""
    parts = []
    for indices in torch.arange(len(batch)).tensor_split(num_parts):
        part = slice(int(indices[0]), int(indices[-1]) + 1)
        damage = Damage({name: strength[part] for name, strength in batch.damage.strengths.items()}, batch.damage.hole[part])
        images = Batch(batch.clean[part], batch.degraded[part], batch.labels[part], damage)
        parts.append((images, None if teacher is None else teacher[part]))
    return parts


def join_outputs(parts: Sequence[Output]) -> Output:
    """The output of a batch from those of its parts."""
    return Output(*(None if first is None else torch.cat([first, *others]) for first, *others in zip(*parts, strict=True)))


def mean_losses(parts: Sequence[Losses]) -> Losses:
    """The losses of a batch from those of its parts, without their graphs."""

    def mean(name: str) -> Tensor | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.stack(values).detach().mean()

    return Losses(mean("classification"), mean("restoration"), mean("damage"), mean("distillation"), parts[0].weight)


def _replica(model: nn.Module) -> nn.Module:
    """A copy whose parameters lie in the memory of the model's."""
    replica = copy.deepcopy(model).train()
    for module, source in zip(replica.modules(), model.modules(), strict=True):
        for name, parameter in source._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
    return replica


def _draws(model: nn.Module) -> bool:
    """Whether a network has layers that draw random numbers in training, such as dropout."""
    rates = (getattr(module, name, 0.0) for module in model.modules() for name in ("p", "drop_prob"))
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


def _prepare_thread(num_threads: int) -> None:
    torch.set_num_threads(num_threads)
    torch.set_flush_denormal(True)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    first, *others = tensors
    total = first.clone()
    for each in others:
        total += each
    return total.div_(1 + len(others)) if total.is_floating_point() else first
