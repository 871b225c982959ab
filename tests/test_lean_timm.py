"""timm comes without torch's compiler, and all that needs the compiler has it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMPILER = "torch._dynamo"

FORKS = """
import json
import os
import sys

import torch

for line in sys.stdin:
    if not (child := os.fork()):
        exec(json.loads(line), {"__name__": "__main__"})
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

Run = Callable[[str], None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs code in a process of its own: in this one other tests may have imported the compiler.

    It is the fork of one that has imported torch, which takes two seconds and which `lean_timm` does first in any case.
    """
    errors = tmp_path_factory.mktemp("forks") / "stderr"
    pipe, command = subprocess.PIPE, [sys.executable, "-c", FORKS]
    with errors.open("w") as stderr, subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(code: str) -> None:
            print(json.dumps(code), file=server.stdin, flush=True)
            assert server.stdout.readline() == "0\n", errors.read_text()

        yield run


def test_a_model_loads_without_the_compiler_and_can_be_compiled_all_the_same(run: Run) -> None:
    run(f"""
import sys
import torch
from pellucid.checkpoint import load_model
network, _ = load_model("bundled", "cpu")
assert not [name for name in sys.modules if name.startswith("{COMPILER}")]
from timm.models.naflexvit import NaFlexRopeIterator
from torchvision.ops import roi_align
disabled = [value for value in vars(NaFlexRopeIterator).values() if hasattr(value, "__wrapped__")]
assert disabled
assert "{COMPILER}" not in sys.modules
pooled = roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0.0, 0.0, 3.0, 3.0]]), 2)
assert pooled.shape == (1, 1, 2, 2)
compiled = torch.compile(lambda images: images + 1, backend="eager")
assert compiled(torch.ones(2)).tolist() == [2, 2]
assert "{COMPILER}" in sys.modules
""")


def test_where_the_compiler_is_there_it_stays(run: Run) -> None:
    run(f"""
import sys
import torch._dynamo
from pellucid.models.lean_timm import timm
assert sys.modules["{COMPILER}"] is torch._dynamo
assert torch._dynamo.__file__
""")


def test_a_version_that_asks_for_more_gets_the_compiler(run: Run, tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("from torch._dynamo import allow_in_graph\n")
    run(f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pellucid.models.lean_timm import timm
import torch._dynamo
assert timm.allow_in_graph is torch._dynamo.allow_in_graph
""")


def test_with_another_thread_timm_is_imported_as_usual(run: Run) -> None:
    run(f"""
import sys, threading
import torch
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
try:
    from pellucid.models.lean_timm import timm
    assert sys.modules["{COMPILER}"].__file__
finally:
    stop.set()
    thread.join()
from torchvision.ops import roi_align
assert "{COMPILER}" in sys.modules
""")


@pytest.mark.parametrize("first", ["timm", "torchvision"])
def test_whoever_imports_them_first_has_what_he_imported(run: Run, first: str) -> None:
    run(f"""
import sys
import {first}
compiler = sys.modules.get("{COMPILER}")
modules = dict(sys.modules)
from pellucid.models.lean_timm import timm as lean
import timm, torchvision
assert lean is timm
assert all(sys.modules[name] is module for name, module in modules.items())
import torch._dynamo
assert torch._dynamo.__file__
assert compiler in (None, torch._dynamo)
import torch
assert torch.compile(lambda images: images + 1, backend="eager")(torch.ones(2)).tolist() == [2, 2]
""")


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "RuntimeError('another version')", "ImportError('no torchvision')"])
def test_after_an_error_the_compiler_is_the_real_one(run: Run, error: str, tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text(f"import torch._dynamo\nraise {error}\n")
    run(f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
try:
    from pellucid.models.lean_timm import timm
except BaseException as error:
    assert type(error) is type({error}) or type(error) is {error.partition("(")[0]}
else:
    raise SystemExit("no error")
import torch._dynamo
assert torch._dynamo.__file__
assert torch._dynamo.utils.__file__
""")


def test_a_module_that_keeps_the_stand_in_gets_the_compiler_from_it_later(run: Run, tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("import torch._dynamo as dynamo\nfrom torch._dynamo import utils\n")
    run(f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pellucid.models.lean_timm import timm
assert "{COMPILER}" not in sys.modules
assert timm.dynamo.config is sys.modules["{COMPILER}"].config
assert timm.utils.counters is sys.modules["{COMPILER}.utils"].counters
""")


def test_a_function_that_the_compiler_leaves_out_is_left_out_of_compiled_ones(run: Run) -> None:
    run("""
import torch
from pellucid.models.lean_timm import _disable
double = _disable(lambda images: images * 2)
compiled = torch.compile(lambda images: double(images + 1), backend="eager")
assert compiled(torch.ones(2)).tolist() == [4, 4]
assert compiled(torch.zeros(2)).tolist() == [2, 2]
""")
