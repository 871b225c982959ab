"""Test-time augmentation by horizontal flips. Works on tensors and on arrays, without torch."""

from collections.abc import Callable
from typing import Any, TypeVar

Images = TypeVar("Images")


def mean_with_mirrored(compute: Callable[[Images], Any], images: Images, flip: Callable[[Any], Any]) -> Any:
    """The mean of the outputs for images (B, 3, H, W) and for their horizontal flips, flipped back; twice the cost.

    compute: images -> `Output` or `Outputs`; flip: flips images and masks.
    """
    one, other = compute(images), compute(flip(images))
    turned = other._replace(**{name: flip(each) for name in ("restored", "mask") if (each := getattr(other, name)) is not None})
    means = (None if first is None or second is None else (first + second) / 2 for first, second in zip(one, turned, strict=True))
    return type(one)(*means)
