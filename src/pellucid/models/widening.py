"""Starts a wider network from a trained narrower one, whose outputs it has until it is trained (after Net2Net, Chen et al. 2016)."""

import torch
from torch import nn


@torch.no_grad()
def load_widened(network: nn.Module, narrower: nn.Module) -> None:
    """Load the weights of a network into one of the same layers with as many or more channels, so that the outputs are the same.

    New channels keep their initial weights, and feed the old ones with weight 0. So the outputs are the same where channels are added and
    normalised one by one, as in a ResNet and in `Decoder`; that they are, is checked on a random image. Raises `ValueError` if a layer is
    missing or narrower, or if the outputs differ.
    """
    weights, loaded = network.state_dict(), narrower.state_dict()
    if weights.keys() != loaded.keys():
        raise ValueError("the layers are others")
    for name, given in loaded.items():
        weight = weights[name]
        if weight.ndim != given.ndim or any(size < least for size, least in zip(weight.shape, given.shape, strict=True)):
            raise ValueError(f"{name} is {tuple(given.shape)}, too large for {tuple(weight.shape)}")
        if weight.ndim > 1:
            weight[: len(given)] = 0
        weight[tuple(map(slice, given.shape))] = given
    _check_outputs(network, narrower)


def _check_outputs(network: nn.Module, narrower: nn.Module) -> None:
    image, training = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), network.training
    outputs = zip(network.eval()(image), narrower.eval()(image), strict=True)
    network.train(training)
    for wide, narrow in outputs:
        if narrow is not None and (wide is None or wide.shape != narrow.shape or not torch.allclose(wide, narrow, rtol=1e-4, atol=1e-5)):
            raise ValueError("the outputs of the two networks differ")
