"""`Output` and `Batch` -> the losses of equation (1), L = CE + lambda * L_restoration -> gradients.

>>> import torch
>>> from pellucid.objectives.joint import cross_entropy
>>> round(cross_entropy(torch.zeros(3, 10), torch.tensor([1, 2, -1])).item(), 4)  # the unlabelled image does not count
2.3026
"""

from pellucid.objectives.config import ObjectiveConfig, RestorationLoss

__all__ = ["ObjectiveConfig", "RestorationLoss"]
