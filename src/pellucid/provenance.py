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


def provenance(arguments: Sequence[str], device: "torch.device") -> dict[str, Any]:
    """What stands beside every figure that is written to a file.

    arguments: the command that measured it, word by word; device: what it was measured on.
    """
    import torch

    from pellucid.device import choose_precision, describe

    return stamp(arguments, f"{describe(device)}, {choose_precision(device)}, torch {torch.__version__}")


def stamp(arguments: Sequence[str], device: str) -> dict[str, Any]:
    """The same with the device in words, without torch."""
    return {"command": shlex.join(arguments), "commit": source_commit(), "device": device, "date": date.today().isoformat()}


def source_commit() -> str:
    """The commit of this source, with `+` where files differ from it; the package's version where it is no checkout."""
    here = Path(__file__).parent
    try:
        git = ["git", "-C", str(here)]
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--", str(here)], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return f"version {version('pellucid')}"
    return commit + ("+" if changed else "")
