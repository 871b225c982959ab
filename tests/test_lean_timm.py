"""timm comes without torch's compiler, and all that needs the compiler has it."""

import subprocess
import sys
from pathlib import Path

COMPILER = "torch._dynamo"


def run(code: str) -> str:
    """In a process of its own: in this one other tests may have imported the compiler."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_loads_without_the_compiler_and_can_be_compiled_all_the_same() -> None:
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


def test_where_the_compiler_is_there_it_stays() -> None:
    run(f"""
import sys
import torch._dynamo
from pellucid.models.lean_timm import timm
assert sys.modules["{COMPILER}"] is torch._dynamo
assert torch._dynamo.__file__
""")


def test_a_version_that_asks_for_more_gets_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("from torch._dynamo import allow_in_graph\n")
    run(f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pellucid.models.lean_timm import timm
import torch._dynamo
assert timm.allow_in_graph is torch._dynamo.allow_in_graph
""")
