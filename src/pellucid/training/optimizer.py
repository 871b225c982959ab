"""Builds the optimiser and the learning-rate schedule."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from pellucid.training.config import TrainingConfig
from pellucid.training.muon import Muon


def build_optimizer(model: nn.Module, config: TrainingConfig, others: Iterable[nn.Parameter] = ()) -> torch.optim.Optimizer:
    """The optimiser of a configuration for all trainable parameters of a model; others: further vectors to train, such as a balancer's."""
    muon = config.optimizer == "muon"
    fallback_rate = config.learning_rate / 10 if config.fallback_learning_rate is None else config.fallback_learning_rate
    head_rate = fallback_rate if config.head_learning_rate is None else config.head_learning_rate
    output_ids = {id(parameter) for layer in _output_layers(model) for parameter in layer.parameters()}
    factors: dict[int, Any] = {
        id(parameter): module.learning_rate_factor
        for module in model.modules()
        if hasattr(module, "learning_rate_factor")
        for parameter in module.parameters()
    }
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = defaultdict(list)
    for parameter in [*(each for each in model.parameters() if each.requires_grad), *others]:
        is_output = id(parameter) in output_ids
        # Orthogonal updates suit hidden layers; output layers are left to NAdamW (after Jordan et al. 2024, "Muon").
        orthogonal = muon and parameter.ndim == 4 and not is_output
        rate = config.learning_rate if orthogonal or not muon else head_rate if is_output else fallback_rate
        decay = config.weight_decay if parameter.ndim >= 2 else 0.0  # not of biases and normalisation
        groups[orthogonal, rate * factors.get(id(parameter), 1.0), decay].append(parameter)
    listed = [
        {"params": parameters, "orthogonal": orthogonal, "lr": rate, "weight_decay": decay}
        for (orthogonal, rate, decay), parameters in groups.items()
    ]
    kinds: dict[str, Callable[[list[dict[str, Any]]], torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "muon": Muon,
    }
    return kinds[config.optimizer](listed)


def _output_layers(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        yield from (getattr(module, name) for name in getattr(module, "output_layers", ()))


def learning_rate_factor(progress: float, config: TrainingConfig) -> float:
    """The fraction of the full learning rate at `progress` in [0, 1] of the training."""
    if progress < config.warmup:
        return progress / config.warmup
    if config.schedule == "constant":
        return 1.0
    rest = (progress - config.warmup) / (1 - config.warmup)
    return (1 + math.cos(math.pi * rest)) / 2 if config.schedule == "cosine" else 1 - rest


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its initial one."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
