"""Distributes the pictures over several processes or machines: `torchrun --nproc-per-node 4 --no-python pellucid predict ...`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from pellucid.errors import UserError

TIMEOUT = timedelta(days=30)
"""Timeout of waiting for the other processes."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process and the number of processes.

    rank: index of this process; num: number of processes.
    """

    rank: int = 0
    num: int = 1

    def first_does(self, work: Callable[[], object]) -> None:
        """Call a function in the first process while the others wait; its `UserError` is raised in all of them."""
        error = None
        if self.rank == 0:
            try:
                work()
            except UserError as raised:
                if self.num == 1:
                    raise
                error = str(raised)
        if self.num > 1:
            import torch.distributed as dist

            errors = [error]
            dist.broadcast_object_list(errors)
            if errors[0] is not None:
                raise UserError(errors[0])

    def sums(self, *counts: int) -> list[int]:
        """The sum of each count over all processes."""
        if self.num == 1:
            return list(counts)
        import torch
        import torch.distributed as dist

        tensor = torch.tensor(counts)
        dist.all_reduce(tensor)
        return [int(each) for each in tensor]

    def device(self, name: str) -> str:
        """The device of this process: `auto` and `cuda` are one GPU for each process of a machine."""
        if self.num == 1 or name not in ("auto", "cuda"):
            return name
        import torch

        if not torch.cuda.is_available():
            return name
        return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Join the processes started by `torchrun`; a single process without it. They communicate by gloo and share a folder."""
    num = int(os.environ.get("WORLD_SIZE", 1))
    if num == 1:
        yield Processes()
        return
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield Processes(dist.get_rank(), num)
    finally:
        dist.destroy_process_group()
