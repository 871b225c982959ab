"""The interface of what weights the losses of the two tasks against one another."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pellucid.objectives.config import ObjectiveConfig
from pellucid.objectives.joint import Losses
from pellucid.objectives.shared import Backward


@dataclass(frozen=True, slots=True)
class Step:
    """One batch that trains both tasks.

    losses: all of it; tasks: the losses of classification and restoration, unweighted; shared: the parameters that both depend on; index:
    batches before this one; backward: as `Tensor.backward`.
    """

    losses: Losses
    tasks: tuple[Tensor, Tensor]
    shared: Sequence[nn.Parameter]
    index: int
    backward: Backward


class Balancer(nn.Module, ABC):
    """Turns the losses of a batch into gradients; what it remembers of former batches is its `state_dict`.

    Args:
        config: the objective.
        num_batches: of an epoch.
    """

    def __init__(self, config: ObjectiveConfig, num_batches: int) -> None:
        super().__init__()
        self.config, self.num_batches = config, num_batches

    def backward(self, losses: Losses, shared: Sequence[nn.Parameter], step: int, backward: Backward) -> None:
        """Write `.grad`, which is empty before; shared: the parameters that both tasks depend on; step: batches before this one."""
        tasks = losses.tasks()
        if tasks is None:
            backward(losses.total)
        else:
            self.descend(Step(losses, tasks, shared, step, backward))

    @abstractmethod
    def descend(self, step: Step) -> None:
        """Write the `.grad` of a batch that trains both tasks."""

    @property
    @abstractmethod
    def weight(self) -> Tensor | float:
        """The present weight of the restoration's loss over the classification's; where there is none, lambda."""
