"""Dynamic batching: pictures of concurrent requests are predicted in one batch.

Pictures that arrive while the network computes form the next batch. Several threads compute a batch each, of which none takes more than its
share of the pictures. A single picture is never delayed: only after a batch of several pictures, the next batch waits for at most
`WAIT_SECONDS` for further requests.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from pellucid.inference import Prediction
from pellucid.pictures import Pixels

WAIT_SECONDS = 0.002
"""Maximum delay of a batch in seconds."""

BATCH_PIXELS = 1_000_000
"""Maximum number of pixels of a batch of several pictures: about a second on two CPU cores."""


class _Waiting(NamedTuple):
    picture: Pixels
    future: "asyncio.Future[Prediction]"


class Batcher:
    """Calls `predict` on batches of pictures, in threads of its own; `start` and `close` it in the event loop that uses it.

    Args:
        predict: pictures -> a prediction for each, in their order.
        batch_size: maximum number of pictures of a batch.
        observe: called with the size of each batch.
        num_threads: batches that are computed at a time; `predict` is called in as many threads.
    """

    def __init__(
        self,
        predict: Callable[[Sequence[Pixels]], list[Prediction]],
        batch_size: int,
        observe: Callable[[int], None] = lambda _: None,
        num_threads: int = 1,
    ) -> None:
        self._predict, self._batch_size, self._observe = predict, batch_size, observe
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._closing, self._last = False, 0
        self._num_threads, self._num_computing = num_threads, 0
        self._threads = ThreadPoolExecutor(num_threads, "predict")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start accepting pictures."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Complete accepted pictures, then stop."""
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        self._threads.shutdown()

    @property
    def running(self) -> bool:
        """Whether it accepts pictures."""
        return self._task is not None and not self._task.done() and not self._closing

    async def predict(self, picture: Pixels) -> Prediction:
        """Predict a picture (H, W, 3); cancelled requests are not computed."""
        if not self.running:
            raise RuntimeError("Expected a running batcher, found it closed.")
        future: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(picture, future))
        self._arrived.set()
        return await future

    async def _run(self) -> None:
        free = asyncio.Semaphore(self._num_threads)
        async with asyncio.TaskGroup() as computing:
            while True:
                await free.acquire()
                if not await self._some_arrived():
                    return
                batch = self._take()
                self._last = len(batch)
                self._num_computing += len(batch)
                computing.create_task(self._compute_in(free, batch))

    async def _compute_in(self, free: asyncio.Semaphore, batch: Sequence[_Waiting]) -> None:
        """Compute a batch in a free thread, then release it."""
        try:
            if batch:
                await self._compute(batch)
        finally:
            self._num_computing -= len(batch)
            free.release()

    async def _some_arrived(self) -> bool:
        """Wait for pictures; false when it is closing and none are left."""
        while not self._waiting:
            if self._closing:
                return False
            self._arrived.clear()
            await self._arrived.wait()
        if self._last > 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    while len(self._waiting) < self._batch_size and not self._closing:
                        self._arrived.clear()
                        await self._arrived.wait()
        return True

    def _take(self) -> list[_Waiting]:
        """The next batch, in the order of arrival; at most an equal share of all pictures, so that other threads have as much to do."""
        batch: list[_Waiting] = []
        pixels = 0
        share = math.ceil((len(self._waiting) + self._num_computing) / self._num_threads)
        while self._waiting and len(batch) < min(self._batch_size, share):
            area = self._waiting[0].picture.size // 3
            if batch and pixels + area > BATCH_PIXELS:
                break
            each = self._waiting.popleft()
            if not each.future.done():
                batch.append(each)
                pixels += area
        return batch

    async def _compute(self, batch: Sequence[_Waiting]) -> None:
        """Compute a batch; if it fails, each picture is tried separately."""
        self._observe(len(batch))
        pictures = [each.picture for each in batch]
        predictions: list[Prediction] | None = None
        try:
            predictions = await asyncio.get_running_loop().run_in_executor(self._threads, self._predict, pictures)
        except Exception as error:  # its traceback may hold much memory until the end of this block
            if len(batch) == 1 and not batch[0].future.done():
                batch[0].future.set_exception(error)
        if predictions is not None:
            for each, prediction in zip(batch, predictions, strict=True):
                if not each.future.done():
                    each.future.set_result(prediction)
        elif len(batch) > 1:
            for each in batch:
                await self._compute([each])
