"""The device by its name, and the precision by what the device can."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from pellucid import device
from pellucid.device import choose_device, choose_precision, inference_autocast, resolve_precision
from pellucid.errors import UserError
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import evaluate
from pellucid.inference.distributed import Processes
from pellucid.recipe import Recipe
from pellucid.run import run

CPU = torch.device("cpu")


def pretend_cpu(monkeypatch: pytest.MonkeyPatch, capability: str = "AVX512", **instructions: bool) -> None:
    """A processor with AVX512_BF16 (`bf16`), AMX (`amx`) or neither."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions.get("bf16", False))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: instructions.get("amx", False))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)


@pytest.mark.parametrize(
    ("instructions", "name", "reason"),
    [
        ({}, "32-true", "no AVX512_BF16 or AMX"),
        ({"bf16": True}, "bf16-mixed", "AVX512_BF16"),
        ({"amx": True}, "bf16-mixed", "AMX"),
        ({"bf16": True, "amx": True}, "bf16-mixed", "AVX512_BF16 and AMX"),
    ],
)
def test_a_cpu_computes_in_what_it_has_instructions_for(monkeypatch, instructions: dict[str, bool], name: str, reason: str) -> None:
    pretend_cpu(monkeypatch, **instructions)
    precision = choose_precision(CPU)
    assert (precision.name, precision.reason) == (name, reason)
    assert torch.is_autocast_enabled("cpu") is False
    with inference_autocast(CPU):
        assert torch.is_autocast_enabled("cpu") is (name == "bf16-mixed")


def test_instructions_that_torch_may_not_use_do_not_count(monkeypatch) -> None:
    pretend_cpu(monkeypatch, capability="AVX2", bf16=True)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert str(choose_precision(CPU)) == "float32 (ATEN_CPU_CAPABILITY=avx2 turns AVX512_BF16 off)"
    pretend_cpu(monkeypatch, bf16=True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert choose_precision(CPU).name == "32-true"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert choose_precision(CPU).name == "bf16-mixed"


@pytest.mark.parametrize(("capability", "name"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")])
def test_a_gpu_computes_in_what_its_generation_has_units_for(monkeypatch, capability: tuple[int, int], name: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert choose_precision(torch.device("cuda")).name == name


def test_other_devices_compute_in_float32() -> None:
    assert choose_precision(torch.device("mps")).name == "32-true"


@pytest.mark.parametrize(("native", "words"), [(True, "bfloat16 autocast (AVX512_BF16)"), (False, "slow here: no AVX512_BF16 or AMX")])
def test_a_precision_by_name_is_kept_and_commented_on(monkeypatch, native: bool, words: str) -> None:
    pretend_cpu(monkeypatch, bf16=native)
    precision = resolve_precision("bf16-mixed", CPU)
    assert precision.name == "bf16-mixed"
    assert words in str(precision)
    assert resolve_precision("32-true", CPU).name == "32-true"


def test_what_a_run_began_with_it_keeps(tiny: Recipe, tmp_path: Path, monkeypatch, capsys) -> None:
    from dataclasses import replace

    recipe = replace(tiny, training=replace(tiny.training, precision="auto", epochs=1))
    pretend_cpu(monkeypatch)
    _, metadata = run(recipe, tmp_path / "run", device="cpu")
    assert metadata.recipe["training"]["precision"] == "32-true"
    assert "float32 (no AVX512_BF16 or AMX)" in metadata.trained
    assert capsys.readouterr().out.count("precision: float32 (no AVX512_BF16 or AMX)") == 1
    assert "float32" in (tmp_path / "run" / "log.jsonl").read_text().splitlines()[0]

    pretend_cpu(monkeypatch, bf16=True)  # the folder moves to another machine
    _, metadata = run(recipe, tmp_path / "run", resume=True, device="cpu")
    assert metadata.recipe["training"]["precision"] == "32-true"
    other = replace(recipe, training=replace(recipe.training, precision="bf16-mixed"))
    with pytest.raises(UserError, match=r"training\.precision: 32-true -> bf16-mixed"):
        run(other, tmp_path / "run", resume=True, device="cpu")


def test_figures_are_float32_whatever_the_network_computes_in(monkeypatch) -> None:
    from pellucid import data
    from pellucid.checkpoint import load_model

    network, _ = load_model("bundled", "cpu")
    test = data.load("shapes").test
    exact = evaluate(network, test, TRACKS["reference"], limit=8)
    monkeypatch.setattr(device, "choose_precision", lambda _: device.Precision("bf16-mixed", "pretended"))
    rounded = evaluate(network, test, TRACKS["reference"], limit=8)
    assert rounded.metrics["psnr"] != exact.metrics["psnr"]
    assert rounded.metrics["psnr"] == pytest.approx(exact.metrics["psnr"], abs=0.1)
    assert all(column.dtype == torch.float32 for column in rounded.per_image["reference"].values())


@pytest.mark.parametrize("name", ["abacus", "cpu:0", "cuda:7", "cpu:x", "", "xla", "hpu"])
def test_a_device_that_is_not_there_is_a_sentence(name: str) -> None:
    with pytest.raises(UserError, match="cpu"):
        choose_device(name)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processors to be granted to a process")
def test_the_cores_are_those_that_the_process_may_use() -> None:
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from pellucid.cores import num_cores; print(num_cores())"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize("found", ["xpu", "cuda"])
def test_an_accelerator_that_cannot_be_used_is_left_to_others(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_kernel(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device(found))
    monkeypatch.setattr(torch, "zeros", no_kernel)
    with pytest.warns(UserWarning, match="cuda can't be used .*no kernel image.*; the CPU computes") if found == "cuda" else nullcontext():
        assert choose_device() == torch.device("cpu")


def test_processes_share_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert [Processes(3, 4).device(name) for name in ("auto", "cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:1", "cuda:0", "cpu"]
    assert Processes().device("cuda") == "cuda"
