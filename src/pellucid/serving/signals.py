"""Callbacks on signals to stop, before the server waits for its connections, some of which are endless."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def watched(callbacks: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Context manager: call `callbacks` on a signal to stop, then the previous handler."""
    if not callbacks or threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOPPING}

    def handle(number: int, frame: FrameType | None) -> None:
        for callback in callbacks:
            callback()
        if callable(before[number]):
            before[number](number, frame)

    for number in STOPPING:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in STOPPING:
            signal.signal(number, before[number])
