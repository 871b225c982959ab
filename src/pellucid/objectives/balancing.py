"""Loss balancers: how the losses of the two tasks are weighted.

The task weights are learned (`Uncertainty`), computed from the losses (`DWA`) or the gradients (`GradNorm`), or constant (`Fixed`).
The losses of the damage head and of the distillation are added unchanged. For a batch that trains only one task, all balancers are
equivalent to `Fixed`.
"""

import math

import torch
from torch import Tensor, nn

from pellucid.errors import UserError
from pellucid.objectives.aggregation import Aggregation
from pellucid.objectives.balancer import Balancer, TrainingStep
from pellucid.objectives.config import TORCHJD, ObjectiveConfig
from pellucid.objectives.shared import gradients_at


class Fixed(Balancer):
    """Equation (1) with constant lambda."""

    def descend(self, step: TrainingStep) -> None:
        """One backward pass of the total loss."""
        step.backward(step.losses.total)


class Uncertainty(Balancer):
    """Learned log-variances s: the sum of exp(-s) L + s / 2 over the tasks (Kendall, Gal & Cipolla 2018, equation 10).

    They are initialised so that the weights are 1 and lambda, and are trained by the optimiser. At the optimum exp(-s) = 1 / (2 L), which
    reduces the objective to log(L) / 2: the loss `psnr`, the logarithm of the squared error, is per-image uncertainty weighting in closed
    form. Losses must be positive. A batch without labels gives the classification's log-variance no gradient.
    """

    def __init__(self, config: ObjectiveConfig, num_batches: int) -> None:
        super().__init__(config, num_batches)
        self.log_variances = nn.Parameter(torch.tensor([0.0, -math.log(config.weight)]))

    def descend(self, step: TrainingStep) -> None:
        """One backward pass, including the log-variances."""
        classification, restoration = self.log_variances.neg().exp().unbind()
        known = torch.stack(step.tasks).detach() > 0
        step.backward(step.losses.weighted(classification, restoration) + (self.log_variances * known).sum() / 2)

    @property
    def weight(self) -> Tensor:
        """exp(-s) of the restoration divided by that of the classification."""
        classification, restoration = self.log_variances.detach().unbind()
        return (classification - restoration).exp()


class DWA(Balancer):
    """Dynamic weight average (Liu, Johns & Davison 2019, equation 7): the task whose loss falls more slowly gets the larger weight.

    Weights 2 softmax(w / T), w the ratio of the mean losses of the last two epochs and T = 2; the restoration's is multiplied by lambda.
    During the first two epochs the softmax is uniform. Batches without labels are excluded from the classification's mean.
    """

    TEMPERATURE = 2.0

    means: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(self, config: ObjectiveConfig, num_batches: int) -> None:
        super().__init__(config, num_batches)
        self.register_buffer("means", torch.full((2, 2), math.nan))  # (epoch before last, last epoch) x task
        self.register_buffer("sums", torch.zeros(2))
        self.register_buffer("counts", torch.zeros(2))

    def descend(self, step: TrainingStep) -> None:
        """One backward pass; accumulates the losses of the epoch."""
        classification, restoration = self.weights().unbind()
        step.backward(step.losses.weighted(classification, self.config.weight * restoration))
        values = torch.stack(step.tasks).detach()
        self.sums += values
        self.counts += values > 0
        if (step.index + 1) % self.num_batches == 0:
            self.means = torch.stack([self.means[1], self.sums / self.counts])
            self.sums, self.counts = torch.zeros_like(self.sums), torch.zeros_like(self.counts)

    def weights(self) -> Tensor:
        """(2,): weights of classification and restoration, without lambda; their sum is 2."""
        descent = (self.means[1] / self.means[0]).nan_to_num(nan=1.0)
        return 2 * (descent / self.TEMPERATURE).softmax(0)

    @property
    def weight(self) -> Tensor:
        """Lambda times the ratio of the weights."""
        classification, restoration = self.weights().unbind()
        return self.config.weight * restoration / classification


class GradNorm(Balancer):
    """Weights the restoration loss so that its gradient norm over the shared parameters is lambda times that of the classification loss.

    A variant of GradNorm (Chen et al. 2018), which learns the weights by gradient descent, from the last shared layer alone and with a
    target that favours the task that trains more slowly; here the weight is the ratio of two averaged norms over all shared parameters,
    times lambda. The norms are measured every 25 steps at the cost of two backward passes, about 3 % of the time, and averaged with a
    decay of 0.8. Without a measurement (no labels, no shared parameters), the weight is lambda.
    """

    EVERY = 25
    DECAY = 0.8

    norms: Tensor

    def __init__(self, config: ObjectiveConfig, num_batches: int) -> None:
        super().__init__(config, num_batches)
        self.register_buffer("norms", torch.full((2,), math.nan))

    def descend(self, step: TrainingStep) -> None:
        """One backward pass with the current weight; every 25 steps the norms are measured first."""
        if step.shared and step.index % self.EVERY == 0:
            self._measure(step)
        step.backward(step.losses.weighted(1.0, self.weight))

    def _measure(self, step: TrainingStep) -> None:
        measured = torch.stack([nn.utils.get_total_norm(gradients_at(step.shared, task, step.backward)) for task in step.tasks])
        smooth = torch.where(self.norms.isnan(), measured, self.norms.lerp(measured, 1 - self.DECAY))
        self.norms = torch.where((measured > 0).all() & measured.isfinite().all(), smooth, self.norms)

    @property
    def weight(self) -> Tensor:
        """Lambda times the ratio of the norms."""
        classification, restoration = self.norms.unbind()
        return self.config.weight * (classification / restoration).nan_to_num(nan=1.0)


BALANCERS: dict[str, type[Balancer]] = {
    "fixed": Fixed,
    "uncertainty": Uncertainty,
    "dwa": DWA,
    "gradnorm": GradNorm,
}


def build_balancer(config: ObjectiveConfig, num_batches: int, num_processes: int = 1) -> Balancer:
    """The balancer of an objective, for a training run with `num_batches` per epoch.

    Raises `UserError` for several processes with a balance other than `fixed`, since each would balance its own batches alone, and for an
    aggregator that `load_aggregator` rejects.
    """
    if num_processes > 1 and config.balance != "fixed":
        raise UserError(
            f"Expected one device with balance '{config.balance}', found {num_processes} processes; train on one device, or with balance "
            "'fixed'."
        )
    if config.balance.startswith(TORCHJD):
        return Aggregation(config, num_batches)
    return BALANCERS[config.balance](config, num_batches)
