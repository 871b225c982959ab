"""Freed memory is kept where glibc is asked to."""

import subprocess
import sys

import pytest

from pellucid.training import memory

PROGRAM = """
import resource, torch
from pellucid.training.memory import keep_memory
if {keep}:
    keep_memory()
def step():
    tensors = [torch.ones(7 << 18) for _ in range(20)]  # 7 MiB each, all freed at the end, as the activations of a step
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step(), step(), step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep: bool) -> int:
    printed = subprocess.run([sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(printed.stdout)


@pytest.mark.skipif(memory.platform.libc_ver()[0] != "glibc", reason="glibc's own settings")
def test_kept_memory_is_not_mapped_again() -> None:
    assert page_faults(keep=True) < page_faults(keep=False) / 10


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("libc was called"))
    memory.keep_memory()
