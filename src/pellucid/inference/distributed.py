"""Several processes or machines share the pictures: `torchrun --nproc-per-node 4 --no-python pellucid predict ...`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from pellucid.errors import UserError

PATIENCE = timedelta(days=30)
"""How long a process waits for the others, whose pictures may take longer."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that share the work.

    rank: its number from 0; num: how many there are.
    """

    rank: int = 0
    num: int = 1

    def first_does(self, work: Callable[[], None]) -> None:
        """Let the first process do something while the others wait; its `UserError` is raised in all of them."""
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

            box = [error]
            dist.broadcast_object_list(box)
            if box[0] is not None:
                raise UserError(box[0])

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
        """The device of this process: `auto` is one GPU for each process of a machine."""
        if self.num == 1 or name != "auto":
            return name
        import torch

        if not torch.cuda.is_available():
            return name
        return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


@contextmanager
def join_processes() -> Iterator[Processes]:
    """The processes that `torchrun` has started, or this one alone. They exchange counts by gloo, and files in one folder."""
    num = int(os.environ.get("WORLD_SIZE", 1))
    if num == 1:
        yield Processes()
        return
    import torch.distributed as dist

    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), num)
    finally:
        dist.destroy_process_group()
