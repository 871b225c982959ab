"""How glibc hands out the memory of a training on a CPU."""

import ctypes
import platform

# Parameters of mallopt(3), malloc.h; older releases refuse a threshold for mmap above 32 MiB.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 1 << 20


def keep_memory() -> None:
    """Keep freed memory for the next step, on Linux with glibc; elsewhere nothing changes.

    By default every large tensor is mapped afresh, and the kernel clears its pages one by one: up to a fifth of a step on a CPU.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    for parameter, value in ((MMAP_THRESHOLD, 32 * MEBIBYTE), (TRIM_THRESHOLD, 1024 * MEBIBYTE), (TOP_PAD, 64 * MEBIBYTE)):
        libc.mallopt(parameter, value)
