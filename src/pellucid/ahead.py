"""Reads files ahead of their use, in threads, in order and within a bounded number of pixels."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from threading import Condition
from typing import TypeVar

Reserve = Callable[[int], None]
"""Called with the number of pixels before they are decoded; may block until there is memory for them."""

Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item, Reserve], Read], num_threads: int, max_items: int, max_pixels: int = 0
) -> Generator[Read, None, None]:
    """Yield `read(item, reserve)` of each item, in order; at most `max_items` are read ahead.

    `read` calls `reserve` with the number of pixels before it decodes them, which blocks while more than `max_pixels` are decoded but not
    yet consumed; the next item in order never blocks. A `read` with small results need not call it.
    """
    budget = _PixelBudget(max_pixels)
    reading: deque[Future[Read]] = deque()
    pool = ThreadPoolExecutor(num_threads)
    first = 0

    def take() -> Read:
        nonlocal first
        result = reading.popleft().result()
        first += 1
        budget.release(first)
        return result

    try:
        for number, item in enumerate(items):
            reading.append(pool.submit(read, item, partial(budget.reserve, number)))
            if len(reading) == max_items:
                yield take()
        while reading:
            yield take()
    finally:
        budget.close()
        pool.shutdown(cancel_futures=True)


class _PixelBudget:
    """Bounds the pixels of numbered pictures that are decoded but not yet consumed."""

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.pixels: dict[int, int] = {}
        self.first, self.closed = 0, False
        self.changed = Condition()

    def reserve(self, number: int, pixels: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.closed or number == self.first or sum(self.pixels.values()) + pixels <= self.max_pixels)
            if self.closed:
                raise CancelledError
            self.pixels[number] = pixels

    def release(self, first: int) -> None:
        """Release the pixels of the picture before number `first`."""
        with self.changed:
            self.first = first
            self.pixels.pop(first - 1, None)
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()
