"""Double precision, where the device has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def double(values: Tensor) -> Tensor:
    """The values in float64; in float32 on MPS, which has no wider type."""
    return values.float() if values.device.type == "mps" else values.double()
