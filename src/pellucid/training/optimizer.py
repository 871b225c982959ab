"""Builds the optimiser and the learning-rate schedule."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from pellucid.training.config import TrainingConfig
from pellucid.training.muon import Muon


def build_optimizer(model: nn.Module, config: TrainingConfig, others: Iterable[nn.Parameter] = ()) -> torch.optim.Optimizer:
    """The optimiser of a configuration for all trainable parameters of a model; others: further vectors to train, such as a balancer's."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    others = list(others)
    vectors = [parameter for _, parameter in named if parameter.ndim < 2] + others  # biases and normalisation: no weight decay
    rate = config.learning_rate
    if config.optimizer == "adam":
        return torch.optim.Adam(_scaled([{"params": [parameter for _, parameter in named] + others, "lr": rate}], model))
    if config.optimizer == "adamw":
        matrices = [parameter for _, parameter in named if parameter.ndim >= 2]
        groups: list[dict[str, Any]] = [{"params": matrices, "lr": rate}, {"params": vectors, "lr": rate, "weight_decay": 0.0}]
        return torch.optim.AdamW(_scaled(groups, model), weight_decay=config.weight_decay)
    # Orthogonal updates suit hidden layers; output layers are left to NAdamW (after Jordan et al. 2024, "Muon").
    output_ids = {id(parameter) for layer in _output_layers(model) for parameter in layer.parameters()}
    last = [parameter for _, parameter in named if id(parameter) in output_ids]
    inner = [parameter for _, parameter in named if id(parameter) not in output_ids]
    fallback_rate = rate / 10 if config.fallback_learning_rate is None else config.fallback_learning_rate
    head_rate = fallback_rate if config.head_learning_rate is None else config.head_learning_rate
    decay = config.weight_decay
    hidden = {"orthogonal": True, "lr": rate}
    fallback = {"orthogonal": False, "lr": fallback_rate}
    head = {"orthogonal": False, "lr": head_rate}
    groups = [
        {"params": [each for each in inner if each.ndim == 4], **hidden, "weight_decay": decay},
        {"params": [each for each in inner if each.ndim in (2, 3)], **fallback, "weight_decay": decay},
        {"params": [each for each in inner if each.ndim < 2] + others, **fallback, "weight_decay": 0.0},
        {"params": [each for each in last if each.ndim >= 2], **head, "weight_decay": decay},
        {"params": [each for each in last if each.ndim < 2], **head, "weight_decay": 0.0},
    ]
    return Muon(_scaled(groups, model))


def _scaled(groups: list[dict[str, Any]], model: nn.Module) -> list[dict[str, Any]]:
    """Groups that aren't empty, split by the `learning_rate_factor` that a module may have for its parameters."""
    factors: dict[int, Any] = {
        id(parameter): module.learning_rate_factor
        for module in model.modules()
        if hasattr(module, "learning_rate_factor")
        for parameter in module.parameters()
    }
    scaled = []
    for group in groups:
        by_factor: dict[float, list[nn.Parameter]] = defaultdict(list)
        for parameter in group["params"]:
            by_factor[factors.get(id(parameter), 1.0)].append(parameter)
        scaled += [{**group, "params": parameters, "lr": group["lr"] * factor} for factor, parameters in by_factor.items()]
    return scaled


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
