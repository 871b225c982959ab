"""The device that a model runs on, by the name that a user gives."""

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
