"""With glibc, freed memory is kept on request."""

import ctypes
from types import SimpleNamespace

import pytest

from pellucid.training import memory


@pytest.mark.skipif(memory.platform.libc_ver()[0] != "glibc", reason="glibc's own settings")
def test_glibc_takes_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    libc, taken = ctypes.CDLL(None), {}

    def mallopt(parameter: int, value: int) -> int:
        taken[parameter] = libc.mallopt(parameter, value)  # 1 where it is taken, 0 where it is refused
        return taken[parameter]

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    memory.keep_memory()
    assert taken == {memory.MMAP_THRESHOLD: 1, memory.TRIM_THRESHOLD: 1, memory.TOP_PAD: 1}


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("libc was called"))
    memory.keep_memory()
