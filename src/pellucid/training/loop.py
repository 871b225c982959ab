"""The training loop."""

import io
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pellucid.batch import Batch, Output
from pellucid.device import is_out_of_memory
from pellucid.errors import DivergenceError, UserError
from pellucid.files import atomic_write
from pellucid.loader import TrainLoader
from pellucid.objectives import ObjectiveConfig
from pellucid.objectives.balancing import build_balancer
from pellucid.objectives.joint import Losses, count_labelled, joint_loss
from pellucid.objectives.shared import shared_parameters
from pellucid.seeding import seed_of
from pellucid.training.config import TrainingConfig
from pellucid.training.gradients import Gradients, compare_gradients
from pellucid.training.log import TrainingLog
from pellucid.training.optimizer import build_optimizer, learning_rate_factor, set_learning_rate
from pellucid.training.shards import Shards, join_outputs, mean_losses, split
from pellucid.training.stop import StopSignal

if TYPE_CHECKING:
    from lightning_fabric import Fabric

GRADIENT_RECORDS = 20
"""Maximum number of gradient comparisons in a run; each costs about half a step."""

SMALL_SCALE = 0.75
"""Scale factor of the side of small images."""

TIME_SLACK = 0.05
"""Fraction of `max_minutes` before progress by the clock starts: a run within the limit keeps its schedule and stays reproducible."""


class Trainer:
    """Training state: the weights, their average, the optimiser state and the position in the data.

    Args:
        fabric: device, precision, processes and loggers.
        model: the network; trained in place.
        loader: the training batches.
        objective: the loss.
        config: settings of the training.
        log: the training log.
        state_path: file with all state that a resumed run needs.
        data_digest: of the data, see `Splits`; a run is resumed with the same data only.
    """

    def __init__(
        self,
        fabric: "Fabric",
        model: nn.Module,
        loader: TrainLoader,
        objective: ObjectiveConfig,
        config: TrainingConfig,
        log: TrainingLog,
        state_path: Path,
        data_digest: str = "",
    ) -> None:
        self.fabric, self.loader, self.log, self.state_path = fabric, loader, log, state_path
        self.data_digest = data_digest
        self.objective, self.config = objective, config
        model = model.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(model, use_buffers=True)
        self.balancer = build_balancer(objective, loader.num_batches, fabric.world_size).to(fabric.device)
        optimizer = build_optimizer(model, config, self.balancer.parameters())
        self.raw_model = model
        self.shared: dict[str, nn.Parameter] | None = None
        if config.compile:  # balancing and comparing gradients run several backward passes per graph
            torch._functorch.config.donated_buffer = False
        self.model, self.optimizer = fabric.setup(torch.compile(model) if config.compile else model, optimizer)
        self.num_steps = max(1, round(config.epochs * loader.num_batches))
        # Faster on a CPU only, and valid only for a fixed weighted sum of the losses.
        in_parts = fabric.device.type == "cpu" and fabric.world_size == 1 and objective.balance == "fixed" and not config.compile
        num_shards = min(config.shards, loader.batch_size) if in_parts else 1
        self.shards = Shards(model, num_shards) if num_shards > 1 else None
        self.step, self.seconds = 0, 0.0

    def fit(self) -> nn.Module:
        """Train to the end and return the averaged network in evaluation mode.

        Raises `KeyboardInterrupt`, after saving the state, if a stop was requested, and `DivergenceError`, without overwriting the
        last saved state, if losses, gradients or weights are not finite.
        """
        self.model.train()
        started = time.monotonic() - self.seconds
        saved = self.seconds
        device = self.fabric.device
        seeded = torch.random.fork_rng([device.index or 0] if device.type == "cuda" else [])  # every step seeds torch's global generators
        with seeded, StopSignal() as stop, self.log.open(self.num_steps, self.step, self.progress):
            while (progress := self.progress) < 1:
                epoch, first_batch = divmod(self.step, self.loader.num_batches)
                self._choose_size(progress)
                for batch in self.loader.epoch(epoch, first_batch):
                    self._train_step(batch, progress)
                    self.seconds = time.monotonic() - started
                    before, progress = progress, self.progress
                    self._choose_size(progress)
                    self._update_average(progress - before)
                    self.log.advance(progress)
                    stopping = self._any(stop.requested)
                    if stopping or self._any(self.seconds - saved > 60 * self.config.save_minutes):
                        self.save()
                        saved = self.seconds
                    if stopping:
                        raise KeyboardInterrupt
                    if progress >= 1:
                        break
                self.log.epoch(self.step, self.raw_model)
        if self._any(not all(bool(tensor.isfinite().all()) for tensor in self.average.module.state_dict().values())):
            self._diverged("weights", None)
        try:
            self.save()
        except UserError as error:  # such as a full disk; the model, which is smaller, may still fit
            self.log.warn(str(error))
        return self.average.module.eval()

    @property
    def progress(self) -> float:
        """Completed fraction of the training: by steps or, with a time limit, by the clock if that is further."""
        by_steps = self.step / self.num_steps
        if not self.config.max_minutes:
            return by_steps
        by_clock = self.seconds / (60 * self.config.max_minutes)
        progress: float = self.fabric.broadcast(max(by_steps, (by_clock - TIME_SLACK) / (1 - TIME_SLACK)))
        return progress

    def _any(self, mine: bool) -> bool:
        """Whether `mine` is true in any process; all of them call this at the same steps, so that they save and stop together."""
        if self.fabric.world_size == 1:
            return mine
        count: Tensor = self.fabric.all_reduce(torch.tensor(float(mine), device=self.fabric.device), reduce_op="sum")
        return bool(count > 0)

    def _diverged(self, what: str, losses: Losses | None) -> NoReturn:
        named = {} if losses is None else {"classification": losses.classification, "restoration": losses.restoration}
        values = ", ".join(f"{name} loss {float(value.detach()):.3g}" for name, value in named.items() if value is not None)
        found = f"others ({values})" if values else "others"
        step = f"step {min(self.step + 1, self.num_steps):,} of {self.num_steps:,}"
        kept = f"the state of an earlier step is in {self.state_path}" if self.state_path.exists() else "no state of it was saved"
        raise DivergenceError(
            f"Expected finite {what} in {step}, found {found}: the training diverged; {kept}; train in a new folder with a "
            "lower training.learning_rate, or a lower objective.weight."
        )

    def _choose_size(self, progress: float) -> None:
        self.loader.scale = SMALL_SCALE if progress < self.config.small_images else 1.0

    def _train_step(self, batch: Batch, progress: float) -> None:
        if self.shared is None:
            self.shared = shared_parameters(self.raw_model, batch.degraded[:1])
        torch.manual_seed(seed_of("step", self.config.seed, self.step))  # for encoders with dropout or stochastic depth
        factor = learning_rate_factor(progress, self.config)
        set_learning_rate(self.optimizer, factor)
        self.optimizer.zero_grad(set_to_none=True)
        if self.shards is None:
            output, losses, gradients = self._backward(batch, progress, self.shared)
        else:
            output, losses, gradients = self._backward_in_shards(self.shards, batch, progress, self.shared)
        finite = losses.total.detach()  # gradients are checked only if they are clipped
        if self.config.clip_norm:
            norm = self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.config.clip_norm, error_if_nonfinite=False)
            finite = finite + norm
        if self._any(not bool(finite.isfinite())):
            self._diverged("losses and gradients", losses)
        self.optimizer.step()
        self.step += 1
        self.log.step(self.step, progress, factor, self.seconds, batch, output, losses, self.balancer.weight, gradients)

    def _backward(self, batch: Batch, progress: float, shared: dict[str, nn.Parameter]) -> tuple[Output, Losses, Gradients | None]:
        """Output and losses of a batch, and at intervals the gradient comparison; writes `.grad`."""
        output = self.model(batch.degraded)
        losses = joint_loss(output, batch, self.objective, self._teach(batch), progress)
        gradients = self._compare_gradients(losses, shared)
        self.balancer.backward(losses, list(shared.values()), self.step, self.fabric.backward)
        return output, losses, gradients

    def _backward_in_shards(
        self, shards: Shards, batch: Batch, progress: float, shared: dict[str, nn.Parameter]
    ) -> tuple[Output, Losses, Gradients | None]:
        """The same in shards; the gradients of the tasks are compared on the first shard."""
        parts = split(batch, self._teach(batch), len(shards.replicas))
        num_labelled = count_labelled(batch.labels) / len(parts)

        def compute(network: nn.Module, part: tuple[Batch, Tensor | None]) -> tuple[Output, Losses]:
            images, taught = part
            with self.fabric.autocast():
                output: Output = network(images.degraded)
            return output, joint_loss(output, images, self.objective, taught, progress, num_labelled)

        gradients = None
        if self._compares_gradients(shared):
            named = dict(shards.replicas[0].named_parameters())
            gradients = self._compare_gradients(compute(shards.replicas[0], parts[0])[1], {name: named[name] for name in shared})
        results = shards.backward(parts, compute, lambda result: result[1].total)
        return join_outputs([output for output, _ in results]), mean_losses([losses for _, losses in results]), gradients

    def _compares_gradients(self, shared: dict[str, nn.Parameter]) -> bool:
        """Whether this step compares gradients: at intervals, with shared parameters and a single process."""
        return bool(shared) and self.fabric.world_size == 1 and self.step % math.ceil(self.num_steps / GRADIENT_RECORDS) == 0

    def _compare_gradients(self, losses: Losses, shared: dict[str, nn.Parameter]) -> Gradients | None:
        """The gradient comparison at the shared parameters, if both tasks are trained and it is due."""
        tasks = losses.tasks()
        if tasks is None or not self._compares_gradients(shared):
            return None
        classification, restoration = tasks
        return compare_gradients(classification, self.balancer.weight * restoration, shared, self.fabric.backward)

    @torch.no_grad()
    def _teach(self, batch: Batch) -> Tensor | None:
        """The class logits (B, C) of the averaged network; `None` without distillation."""
        if not self.objective.distillation:
            return None
        with self.fabric.autocast(), batch_statistics(self.average.module) as teacher:
            taught: Output = teacher(batch.clean if self.objective.teacher_sees == "clean" else batch.degraded)
        return taught.logits

    def _update_average(self, advance: float) -> None:
        """Update the averaged weights; the decay depends on the progress, so that the horizon scales with the length of the training."""
        decay = math.exp(-advance / self.config.ema_horizon) if self.config.ema_horizon else 0.0
        self.average.multi_avg_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self.average.update_parameters(self.raw_model)

    def save(self) -> None:
        """Write the state atomically; every process must call this. The first one writes; if it can't, a `UserError` is raised in all."""
        failure = None
        if self.fabric.is_global_zero:
            parts = {"model": self.raw_model, "optimizer": self.optimizer, "average": self.average, "balancer": self.balancer}
            state: dict[str, object] = {name: part.state_dict() for name, part in parts.items()}
            state |= {"step": self.step, "seconds": self.seconds, "data_digest": self.data_digest}
            content = io.BytesIO()  # torch's own writer to files does not say that the disk is full
            torch.save(state, content)
            try:
                with atomic_write(self.state_path) as path:
                    path.write_bytes(content.getbuffer())
            except UserError as error:
                failure = error
        if self._any(failure is not None):
            raise failure or UserError(f"Expected the first process to write {self.state_path}, found that it can't; its message says why.")

    def load(self) -> None:
        """Load the last saved state, if there is one."""
        if not self.state_path.exists():
            return
        try:
            rest = self.fabric.load(self.state_path, {"model": self.model, "optimizer": self.optimizer}, weights_only=True)
            self.average.load_state_dict(rest["average"])
            self.balancer.load_state_dict(rest["balancer"])
        except (RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, OSError, UnpicklingError) as error:
            if is_out_of_memory(error):
                raise
            raise UserError(
                f"Expected the state of a run in {self.state_path}, found what can't be read ({type(error).__name__}), or was saved by "
                "another version; resume with that one, or remove it to train from the start."
            ) from error
        if rest.get("data_digest", "") not in ("", self.data_digest):
            raise UserError(
                f"Expected the pictures that the run of {self.state_path} was started with, found that some were added, removed or "
                "changed; restore them, or train in a new folder."
            )
        self.step, self.seconds = rest["step"], rest["seconds"]


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[nn.Module]:
    """Context manager: evaluation mode, but batch normalisation uses batch statistics and leaves the running statistics unchanged.

    For clean images: the running statistics are those of degraded ones. Layers that are frozen keep theirs, as in training.
    """
    training = network.training
    norms = [each for each in network.train().modules() if isinstance(each, nn.BatchNorm2d) and each.training and each.track_running_stats]
    network.eval()
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield network
    finally:
        for norm in norms:
            norm.track_running_stats = True
        network.train(training)
