"""The interface of loss balancers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pellucid.objectives.config import ObjectiveConfig
from pellucid.objectives.joint import Losses
from pellucid.objectives.shared import Backward


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One batch that trains both tasks.

    losses: all losses; tasks: the losses of classification and restoration, unweighted; shared: the parameters that both depend on; index:
    number of preceding batches; backward: as `Tensor.backward`.
    """

    losses: Losses
    tasks: tuple[Tensor, Tensor]
    shared: Sequence[nn.Parameter]
    index: int
    backward: Backward


class Balancer(nn.Module, ABC):
    """Computes gradients from the losses of a batch; its state across batches is in its `state_dict`.

    Args:
        config: the objective.
        num_batches: number of batches in an epoch.
    """

    def __init__(self, config: ObjectiveConfig, num_batches: int) -> None:
        super().__init__()
        self.config, self.num_batches = config, num_batches

    def backward(self, losses: Losses, shared: Sequence[nn.Parameter], step: int, backward: Backward) -> None:
        """Write `.grad`, which must be empty; shared: the parameters that both tasks depend on; step: number of preceding batches."""
        tasks = losses.tasks()
        if tasks is None:
            backward(losses.total)
        else:
            self.descend(TrainingStep(losses, tasks, shared, step, backward))

    @abstractmethod
    def descend(self, step: TrainingStep) -> None:
        """Write `.grad` for a batch that trains both tasks."""

    @property
    def weight(self) -> Tensor | float:
        """The current ratio of the restoration weight to the classification weight; lambda if no weights are adapted."""
        return self.config.weight
