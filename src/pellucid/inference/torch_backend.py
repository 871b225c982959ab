"""A torch network as a backend."""

import math

import torch
from torch import nn

from pellucid.batch import Output
from pellucid.device import choose_device, choose_precision, describe_device, inference_autocast, is_out_of_memory
from pellucid.inference.backend import Outputs
from pellucid.inference.footprint import max_pixels
from pellucid.inference.pixels import Floats
from pellucid.inference.reach import measure_reach


class TorchBackend:
    """A network in evaluation mode, moved to `device`; it computes in the precision of `choose_precision`, or in float32.

    Args:
        network: images (B, 3, H, W) in [0, 1] -> `Output`.
        device: a name of torch's, or `auto`.
        exact: compute in float32 on every device.
    """

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu", exact: bool = False) -> None:
        if network.training:
            raise ValueError("Expected a network in evaluation mode, found it in training mode; call network.eval() first.")
        self.device = choose_device(device)
        self.network: nn.Module = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.max_pixels = max_pixels(self.network)
        self.multiple = math.lcm(*(getattr(module, "size_multiple", 1) for module in network.modules()))
        self._exact = exact
        precision = "float32" if exact else choose_precision(self.device)
        self.stated = f"torch {torch.__version__.partition('+')[0]} on {describe_device(self.device)}, {precision}"

    @torch.inference_mode()
    def __call__(self, images: Floats) -> Outputs:
        """Compute the outputs for a batch."""
        try:
            tensors = torch.from_numpy(images).to(self.device)
            with torch.autocast(self.device.type, enabled=False) if self._exact else inference_autocast(self.device):
                output: Output = self.network(tensors)
            return Outputs(*(None if each is None else each.float().cpu().numpy() for each in output))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise

    def reach(self) -> int | None:
        """Measured on the network."""
        return measure_reach(self.network, self.multiple)
