"""Data-parallel training steps on a CPU: each thread computes a shard of the batch.

torch parallelises each operator over the cores, but synchronises after every one, and weight gradients scale poorly. Shards synchronise
once per step.
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
Computed = TypeVar("Computed")


class Shards:
    """Replicas of a network, one for each shard of a batch, with shared weights but separate gradients and buffers.

    Results are bitwise identical whether the shards run sequentially or in parallel: each has its own batch normalisation.

    Args:
        model: the network; its parameters must keep their memory, as in in-place optimiser steps.
        num_shards: number of shards of a batch.
    """

    def __init__(self, model: nn.Module, num_shards: int) -> None:
        self.model = model
        self.replicas = [_replica(model) for _ in range(num_shards)]
        num_threads = torch.get_num_threads()
        num_workers = 1 if _draws(model) else min(num_shards, num_threads)  # random layers share one generator: run sequentially
        self.pool = ThreadPoolExecutor(num_workers, initializer=_prepare_thread, initargs=(max(1, num_threads // num_workers),))

    def backward(
        self, parts: Sequence[Part], compute: Callable[[nn.Module, Part], Computed], loss: Callable[[Computed], Tensor]
    ) -> list[Computed]:
        """Write the mean gradient of the shards' losses to the model's `.grad`, and the mean of the replicas' buffers to the model's.

        compute: a replica and its shard of the batch -> its result, returned in a list; loss: such a result -> a scalar.
        """

        def work(replica: nn.Module, part: Part) -> Computed:
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
    """Split a batch, and a teacher's logits for it, into consecutive shards of about equal size."""
    parts = []
    for indices in torch.arange(len(batch)).tensor_split(num_parts):
        part = slice(int(indices[0]), int(indices[-1]) + 1)
        damage = Damage({name: strength[part] for name, strength in batch.damage.strengths.items()}, batch.damage.mask[part])
        images = Batch(batch.clean[part], batch.degraded[part], batch.labels[part], damage)
        parts.append((images, None if teacher is None else teacher[part]))
    return parts


def join_outputs(parts: Sequence[Output]) -> Output:
    """Concatenate the outputs of the shards of a batch."""
    return Output(*(None if first is None else torch.cat([first, *others]) for first, *others in zip(*parts, strict=True)))


def mean_losses(parts: Sequence[Losses]) -> Losses:
    """The mean losses of the shards of a batch, detached."""

    def mean(name: str) -> Tensor | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.stack(values).detach().mean()

    return Losses(mean("classification"), mean("restoration"), mean("damage"), mean("distillation"), parts[0].weight)


def _replica(model: nn.Module) -> nn.Module:
    """A copy whose parameters share memory with the model's."""
    shared = {id(each): nn.Parameter(each.detach(), each.requires_grad) for each in model.parameters()}
    return copy.deepcopy(model, shared).train()  # the memo of copies that exist


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
