"""Imports timm without torch's compiler, of which it needs two functions: most of the time and of the memory of that import.

torchvision, which timm imports, asks `torch._dynamo` whether it supports a device, once its region pooling is called; timm keeps the
compiler out of a function of one family of transformers. Here both get stand-ins, which import the compiler when they are called.

The stand-ins are in `sys.modules` for the time of this import only. All threads share `sys.modules`: with any other thread that may import
the compiler meanwhile, timm is imported as usual, and likewise where the compiler is there already, such as after `import torchvision`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
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


class _StandIn(ModuleType):
    """For a module of the compiler; a module that keeps it has all of the compiler from it later, once it is out of `sys.modules`."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            raise AttributeError(f"{self.__name__} has no {name} while timm is imported")
        return getattr(import_module(self.__name__), name)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Stand-ins for the compiler's modules while others are imported, unless it is there already or another thread might get them."""
    import torch  # noqa: F401 - which must not see them

    if COMPILER in sys.modules or len(sys._current_frames()) > 1:
        yield
        return
    compiler, utils = _StandIn(COMPILER), _StandIn(f"{COMPILER}.utils")
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
except Exception:  # another version that asks for more of the compiler; an error of its own comes again
    import timm

__all__ = ["timm"]
