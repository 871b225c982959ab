"""Tunes glibc's allocator for training on a CPU."""

import ctypes
import platform
import sys

# Parameters of mallopt(3), malloc.h; older releases reject an mmap threshold above 32 MiB.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 1 << 20


def keep_memory() -> None:
    """Keep freed memory for the next step, on Linux with glibc; no effect elsewhere.

    By default every large tensor is mapped anew, and the kernel zeroes its pages: up to a fifth of a step on a CPU.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    for parameter, value in ((MMAP_THRESHOLD, 32 * MEBIBYTE), (TRIM_THRESHOLD, 1024 * MEBIBYTE), (TOP_PAD, 64 * MEBIBYTE)):
        libc.mallopt(parameter, value)
