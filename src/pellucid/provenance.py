"""Provenance of figures: commit, device and date."""

import shlex
import subprocess
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def provenance(arguments: Sequence[str], device: "torch.device", precision: str = "auto") -> dict[str, Any]:
    """Command, commit, device and date, which are stored with every figure that is written to a file.

    arguments: the arguments of the command; device, precision: of the measurement.
    """
    import torch

    from pellucid.device import describe_device, resolve_precision

    return stamp(arguments, f"{describe_device(device)}, {resolve_precision(precision, device)}, torch {torch.__version__}")


def stamp(arguments: Sequence[str], device: str) -> dict[str, Any]:
    """The same from a description of the device, without torch."""
    return {"command": shlex.join(arguments), "commit": source_commit(), "device": device, "date": date.today().isoformat()}


def source_commit() -> str:
    """The commit of the source, with `+` if files differ from it; the version of the package outside a checkout."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here)]
        # Not the commit of a project whose environment the package is installed in.
        subprocess.run([*git, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, check=True)
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--", str(here)], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return f"version {version('pellucid')}"
    return commit + ("+" if changed else "")
