"""The device that a model runs on, by the name that a user gives."""

import platform

import torch

from pellucid.errors import UserError


def choose_device(name: torch.device | str = "auto") -> torch.device:
    """The device of that name; `auto` is the accelerator that torch finds here, or else the CPU."""
    if str(name) == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        torch.zeros(1, device=name)  # only use tells whether the device is there
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"Expected a device that torch can use here, found '{name}' ({reason}); choose cpu or auto.") from error
    return torch.device(name)


def describe(device: torch.device) -> str:
    """A device in words, for whoever reads a figure that was measured on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type.upper()
    num_threads = torch.get_num_threads()
    return f"CPU, {platform.machine()}, {num_threads} thread{'s' if num_threads > 1 else ''}"
