"""Starts a larger network from a trained smaller one, whose outputs it has until it is trained (after Net2Net, Chen et al. 2016)."""

import torch
from torch import nn


@torch.no_grad()
def load_smaller(network: nn.Module, smaller: nn.Module) -> None:
    """Load the weights of a network into one with as many or more channels, and as many or more residual blocks in each stage, so that the
    outputs are the same.

    New channels keep their initial weights, and feed the old ones with weight 0; the last normalisation of a new block has the scale 0. So
    the outputs are the same where channels are added and normalised one by one, as in a ResNet and in `Decoder`; that they are, is checked
    on a random image. Raises `ValueError` if a layer is missing or narrower, or if the outputs differ.
    """
    weights, loaded = network.state_dict(), smaller.state_dict()
    there = dict(smaller.named_modules())
    new_blocks = {name: each for name, each in network.named_modules() if hasattr(each, "zero_init_last") and name not in there}
    new = {key for key in weights if key.startswith(tuple(f"{name}." for name in new_blocks))}
    if weights.keys() - new != loaded.keys():
        raise ValueError("the layers are others")
    for name, given in loaded.items():
        weight = weights[name]
        if weight.ndim != given.ndim or any(size < least for size, least in zip(weight.shape, given.shape, strict=True)):
            raise ValueError(f"{name} is {tuple(given.shape)}, too large for {tuple(weight.shape)}")
        if weight.ndim > 1:
            weight[: len(given)] = 0
        weight[tuple(map(slice, given.shape))] = given
    for block in new_blocks.values():
        block.zero_init_last()
    _check_outputs(network, smaller)


def _check_outputs(network: nn.Module, smaller: nn.Module) -> None:
    image, training = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), network.training
    outputs = zip(network.eval()(image), smaller.eval()(image), strict=True)
    network.train(training)
    for large, small in outputs:
        if small is not None and (large is None or large.shape != small.shape or not torch.allclose(large, small, rtol=1e-4, atol=1e-5)):
            raise ValueError("the outputs of the two networks differ")
