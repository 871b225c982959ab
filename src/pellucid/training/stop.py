"""Handles signals that request a stop between two steps."""

import signal
import threading
from typing import Any, Self

SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


class StopSignal:
    """Context manager: the first Ctrl-C, SIGTERM or SIGHUP (terminal closed) only sets `requested`; the second has its usual effect.

    A signal that is ignored, as SIGHUP is under `nohup`, stays ignored. No effect outside the main thread, where Python allows no signal
    handlers.
    """

    def __init__(self) -> None:
        self.requested = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._former = {
                number: signal.signal(number, self._request) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN
            }
        return self

    def _request(self, *_: object) -> None:
        self.requested = True
        self._restore()

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}
