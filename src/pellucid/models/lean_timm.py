"""Imports timm without torch's compiler, of which it needs two functions: most of the time and of the memory of that import.

torchvision, which timm imports, asks `torch._dynamo` whether it supports a device, once its region pooling is called; timm keeps the
compiler out of a function of one family of transformers. Here both get stand-ins, which import the compiler when they are called.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


def _disable(function: Callable[..., Any], recursive: bool = True, *, reason: str | None = None) -> Callable[..., Any]:
    """`torch._dynamo.disable` of a function, from its first call on."""

    @wraps(function)
    def disabled(*arguments: Any, **options: Any) -> Any:
        import torch._dynamo

        return torch._dynamo.disable(function, recursive, reason=reason)(*arguments, **options)  # type: ignore[no-untyped-call]

    return disabled


def _is_compile_supported(device: str) -> Any:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Stand-ins for the compiler's modules while others are imported, unless it is there already."""
    import torch  # noqa: F401 - which must not see them

    if COMPILER in sys.modules:
        yield
        return
    compiler, utils = ModuleType(COMPILER), ModuleType(f"{COMPILER}.utils")
    compiler.__path__ = []
    vars(compiler).update(disable=_disable, utils=utils)
    vars(utils).update(is_compile_supported=_is_compile_supported)
    names = {compiler.__name__: compiler, utils.__name__: utils}
    sys.modules.update(names)
    try:
        yield
    finally:
        for name, module in names.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


try:
    with _without_compiler():
        import timm
except (ImportError, AttributeError):  # another version that asks for more
    import timm

__all__ = ["timm"]
