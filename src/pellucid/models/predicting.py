"""The outputs of a network as predictions have them: with the temperature, the gate, and the size at which pictures are classified.

Figures of what users get are measured with this around the network, see `pellucid evaluate`; comparisons measure networks without it.
"""

import torch
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.models.gate import Gate, change_of, undamaged
from pellucid.models.mirrored import mean_with_mirrored
from pellucid.models.overview import has_own_size, scale_down

NOT_LOST = -100.0
"""Logit of the mask where a picture is left as it is."""


class Predicting(nn.Module):
    """A network in evaluation mode and what `inference.Predictor` does with its outputs, on tensors of floats.

    temperature: the logits are divided by it; gate: undamaged images become their own restored images, without lost pixels; image_size:
    shorter side of the training images: class and damage of images of more than twice that are read off ones that are scaled down to it;
    mirror: average the outputs over each image and its horizontal flip, for twice the time. Without any of these the outputs are the
    network's. Pictures are not rounded to whole numbers in between.
    """

    def __init__(
        self, network: nn.Module, temperature: float = 1.0, gate: Gate | None = None, image_size: int | None = None, mirror: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.temperature, self.gate, self.image_size, self.mirror = temperature, gate, image_size, mirror
        self.training = network.training

    def forward(self, images: Tensor) -> Output:
        """(B, 3, H, W) in [0, 1] -> `Output`."""
        output = self._compute(images)
        size = self.image_size
        own_size = size is None or has_own_size(images.shape[2], images.shape[3], size)
        if size is not None and not own_size:
            smaller = torch.from_numpy(scale_down(images.permute(0, 2, 3, 1).cpu().numpy(), size)).permute(0, 3, 1, 2)
            whole = self._compute(smaller.to(images).contiguous())
            output = output._replace(logits=whole.logits, presence=whole.presence, strength=whole.strength)
        if self.temperature != 1 and output.logits is not None:
            output = output._replace(logits=output.logits.float() / self.temperature)
        return output if self.gate is None else _gated(self.gate, images, output, own_size)

    def _compute(self, images: Tensor) -> Output:
        output: Output = mean_with_mirrored(self.network, images, lambda each: each.flip(3)) if self.mirror else self.network(images)
        return output


def _gated(gate: Gate, images: Tensor, output: Output, own_size: bool) -> Output:
    """The outputs with images that are undamaged left as they are; those with outputs that are not finite count as damaged."""
    if output.restored is None:
        return output
    restored, mask = output.restored.float(), output.mask
    presence = None if output.presence is None else output.presence.float().cpu().numpy()
    change = change_of(images.cpu().numpy(), restored.cpu().numpy())
    left = torch.from_numpy(undamaged(gate, presence, change, own_size)).to(images.device)[:, None, None, None]
    left = left & restored.isfinite().all(dim=3, keepdim=True).all(dim=2, keepdim=True).all(dim=1, keepdim=True)
    restored = torch.where(left, images.float(), restored)
    return output._replace(restored=restored, mask=None if mask is None else mask.masked_fill(left, NOT_LOST))
