"""Which optimiser moves which parameter, and how fast at which point of the training."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from pellucid.training.config import TrainingConfig


def build_optimizer(model: nn.Module, config: TrainingConfig, others: Iterable[nn.Parameter] = ()) -> torch.optim.Optimizer:
    """The optimiser of a configuration over all parameters of a model; others: vectors that are trained with it, such as a balancer's."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    others = list(others)
    vectors = [parameter for _, parameter in named if parameter.ndim < 2] + others  # biases and normalisation: no weight decay
    if config.optimizer == "adam":
        return torch.optim.Adam([parameter for _, parameter in named] + others, lr=config.learning_rate)
    if config.optimizer == "adamw":
        matrices = [parameter for _, parameter in named if parameter.ndim >= 2]
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    from timm.optim.muon import Muon

    # Orthogonal updates suit hidden layers; the last layer of each task is left to AdamW (Jordan et al. 2024, "Muon").
    last = (".linear.weight", ".residual.weight", ".last.weight")
    hidden = [parameter for name, parameter in named if parameter.ndim == 4 and not name.endswith(last)]
    heads = [parameter for name, parameter in named if parameter.ndim in (2, 3) or (parameter.ndim == 4 and name.endswith(last))]
    fallback_rate = config.learning_rate / 10 if config.fallback_learning_rate is None else config.fallback_learning_rate
    fallback: dict[str, Any] = {"use_fallback": True, "lr": fallback_rate}
    muon: torch.optim.Optimizer = Muon(
        [
            {"params": hidden, "use_fallback": False},
            {"params": heads, **fallback},
            {"params": vectors, **fallback, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.6,
        nesterov=True,
        ns_steps=3,
        adjust_lr_fn="original",
        betas=(0.9, 0.99),
    )
    return muon


def learning_rate_factor(progress: float, config: TrainingConfig) -> float:
    """The part of the full learning rate that is used when `progress` in [0, 1] of the training is done."""
    if progress < config.warmup:
        return progress / config.warmup
    if config.schedule == "constant":
        return 1.0
    rest = (progress - config.warmup) / (1 - config.warmup)
    return (1 + math.cos(math.pi * rest)) / 2 if config.schedule == "cosine" else 1 - rest


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Scale every group's learning rate to `factor` of the one that it was built with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
