"""Modules that take up to seconds to import, imported on their first use: `from pellucid.lazy import cv2, np, torch`.

So recipes and the command line can name what is computed with them without loading them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["cv2", "np", "torch"]

if TYPE_CHECKING:
    import cv2 as cv2
    import numpy as np
    import torch as torch
else:

    class _Lazy:
        def __init__(self, name: str) -> None:
            self._name, self._module = name, None

        def __getattr__(self, attribute: str) -> Any:
            self._module = self._module or import_module(self._name)
            return getattr(self._module, attribute)

    cv2, np, torch = map(_Lazy, ("cv2", "numpy", "torch"))
