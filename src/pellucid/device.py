"""Selects the device and the floating-point precision of a model."""

import os
import platform
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch

from pellucid.errors import UserError

BFLOAT16_CAPABILITY = (8, 0)
"""The first CUDA compute capability with bfloat16 units (Ampere)."""

MEMORY_WORDS = ("allocate memory", "not enough memory", "out of memory", "Invalid buffer size")
"""Parts of torch's messages on too little memory: on the CPU of Linux and of Windows, and on MPS."""

ONEDNN_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA that disable the processor's bfloat16 instructions in torch's convolutions."""


@dataclass(frozen=True, slots=True)
class Precision:
    """A floating-point precision, by Fabric's name, and the reason for its choice."""

    name: Literal["bf16-mixed", "32-true"]
    reason: str

    def __str__(self) -> str:
        return f"{PRECISION_NAMES[self.name]} ({self.reason})"


PRECISION_NAMES = {"bf16-mixed": "bfloat16 autocast", "32-true": "float32"}
"""Fabric's names of precisions, and their descriptions."""


def choose_device(name: torch.device | str = "auto") -> torch.device:
    """The device of that name; `auto` is the available accelerator, or else the CPU."""
    if str(name) == "auto":
        return _accelerator() or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)  # a device is known to exist only once it is used
    except (AssertionError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"Expected a device that torch can use here, found '{name}' ({reason}); choose cpu or auto.") from error
    if device.type == "cpu" and device.index is not None:
        raise UserError(f"Expected cpu without a number, found '{name}'; all cores belong to the one device cpu.")
    return device


def _accelerator() -> torch.device | None:
    """The accelerator, if there is one that Fabric can train on and that computes: some are too old for this build of torch."""
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None or found.type not in ("cuda", "mps"):
        return None
    try:
        torch.zeros(1, device=found)
    except RuntimeError as error:
        warnings.warn(f"{found} can't be used ({str(error).splitlines()[0]}); the CPU computes.", stacklevel=2)
        return None
    return found


def choose_precision(device: torch.device) -> Precision:
    """bfloat16 autocast where the device supports it natively, float32 elsewhere.

    Devices without bfloat16 instructions emulate it: 10 to 100 times slower than float32 on CPUs with AVX2 only.
    """
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        words = f"compute capability {capability[0]}.{capability[1]}"
        return _precision(capability >= BFLOAT16_CAPABILITY, words, f"{words}; bfloat16 needs 8.0")
    if device.type != "cpu":
        return Precision("32-true", f"bfloat16 is not tried on {device.type}")
    supported = {"AVX512_BF16": torch.cpu._is_avx512_bf16_supported(), "AMX": torch.cpu._is_amx_tile_supported()}
    instructions = [name for name, there in supported.items() if there]
    if instructions and (limit := _instruction_limit()):
        return Precision("32-true", f"{limit} turns {instructions[-1]} off")
    return _precision(bool(instructions), " and ".join(instructions), "no AVX512_BF16 or AMX")


def resolve_precision(name: str, device: torch.device) -> Precision:
    """The precision of that name, with a reason for this device; `auto` is that of `choose_precision`."""
    native = choose_precision(device)
    if name in ("auto", native.name):
        return native
    if name == "bf16-mixed":
        return Precision("bf16-mixed", f"as the recipe has it, but slow here: {native.reason}")
    return Precision("32-true", "as the recipe has it")


def inference_autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager[None]:
    """An autocast context with the precision that `resolve_precision` returns for `device`."""
    autocast: AbstractContextManager[None] = torch.autocast(
        device.type, torch.bfloat16, enabled=resolve_precision(precision, device).name == "bf16-mixed"
    )
    return autocast


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch's says that a device has too little memory; on the CPU, and on MPS, it has no type of its own."""
    said = isinstance(error, RuntimeError) and any(words in str(error) for words in MEMORY_WORDS)
    return said or isinstance(error, torch.OutOfMemoryError | MemoryError)


def describe_device(device: torch.device) -> str:
    """A description of a device, as stated with measurements."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type.upper()
    num_threads = torch.get_num_threads()
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"CPU, {platform.machine()} with {instructions}, {num_threads} thread{'s' if num_threads > 1 else ''}"


def _precision(native: bool, reason: str, reason_against: str) -> Precision:
    return Precision("bf16-mixed", reason) if native else Precision("32-true", reason_against)


def _instruction_limit() -> str | None:
    """The environment variable, with its value, that disables those instructions in torch; `None` if there is none."""
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return f"ATEN_CPU_CAPABILITY={os.environ.get('ATEN_CPU_CAPABILITY', '')}"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return f"ONEDNN_MAX_CPU_ISA={limit}" if limit in ONEDNN_WITHOUT_BFLOAT16 else None
