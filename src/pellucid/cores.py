"""Cores of the processor."""

import os


def num_cores() -> int:
    """The number of cores that this process may use: containers, batch systems and `taskset` often grant fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
