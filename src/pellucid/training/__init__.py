"""The loop, the optimiser, the weight average, and what is shown and kept on the way."""

from pellucid.training.config import TrainingConfig

__all__ = ["TrainingConfig"]
