"""Workers for many short tasks: threads, or forks of this process, which don't take turns at Python as its threads do."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from PIL import Image

from pellucid.errors import UserError

CAN_FORK = sys.platform == "linux"
"""Whether processes can be forked: macOS has libraries that don't survive it, Windows has no forks."""

Task = TypeVar("Task")
Result = TypeVar("Result")

_work: Callable[[Any], Any]


@contextmanager
def start_workers(work: Callable[[Task], Result], number: int, forks: bool) -> Iterator[Callable[[Task], Future[Result]]]:
    """Yield a function that submits a task to one of `number` workers; in the end, tasks that have begun are finished.

    forks: the workers are processes, with one thread of torch each. They have copies of all objects of this process, so that only tasks and
    results are pickled. They ignore Ctrl-C, which this process handles, and end with it. Raises `UserError` if one is killed.
    """
    pool: ProcessPoolExecutor | ThreadPoolExecutor
    if forks:
        Image.preinit()  # otherwise each imports Pillow's readers
        gc.freeze()  # otherwise each searches all objects of torch for garbage, and copies their pages
        pool = ProcessPoolExecutor(number, multiprocessing.get_context("fork"), _begin, (work,))
    else:
        pool = ThreadPoolExecutor(number)
    do = _run if forks else work
    try:
        yield lambda task: pool.submit(do, task)
    except BrokenProcessPool as error:
        raise UserError(
            "Expected processes that work to the end, found that one was killed, perhaps for want of memory; --resume goes on from here."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        if forks:
            gc.unfreeze()


def _begin(work: Callable[[Any], Any]) -> None:
    """Prepare a forked process."""
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2
    import torch

    torch.set_num_threads(1)  # the threads of OpenMP and OpenCV are not there after a fork
    cv2.setNumThreads(0)  # no threads at all: 1 would wait for those to end


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _run(task: Any) -> Any:
    return _work(task)
