"""Random generators seeded by names.

Every random function of the package takes a generator, and every generator is seeded by the purpose of its numbers, such as
`generator("damage", seed, epoch, step)`. No global state is used, so two arms of a comparison see the same images, crops and noise, and a
resumed run draws the same numbers as an uninterrupted one without saving generator states.
"""

import hashlib

import torch


def seed_of(*names: str | int) -> int:
    """A 63-bit seed that depends on the names alone, the same on every machine and Python version."""
    text = "\0".join(f"{type(name).__name__}:{name}" for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(*names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on `device`, seeded by `seed_of(*names)`."""
    return torch.Generator(device=device).manual_seed(seed_of(*names))
