"""Training: the loop, optimisers, weight averaging and logging."""

from pellucid.training.config import TrainingConfig

__all__ = ["TrainingConfig"]
