"""How much evidence a network has for any of its classes: little for pictures unlike its training images.

The logarithm of the sum of the exponentials of the logits, the negative energy of Liu et al. 2020, without the temperature. It needs no
other output of the network, so that exported models have it, too. `docs/trust.md` measures how many pictures of other subjects it finds.
Works on arrays, without torch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILE = 0.05
"""Fraction of the images that were held out of the training that count as unlike its images: the rate of false warnings."""


def evidence_of(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Logits (B, num_classes) -> (B,)."""
    evidence: NDArray[np.float64] = np.logaddexp.reduce(logits.astype(np.float64), axis=1)
    return evidence
