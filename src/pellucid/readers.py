"""Readers of clean images for training: resident on the device, or crops of photographs, read ahead by threads."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pellucid.ahead import Reserve, read_ahead
from pellucid.cores import num_cores
from pellucid.data import Photos
from pellucid.errors import UserError
from pellucid.seeding import generator

AHEAD = 3
"""Number of batches that are read ahead."""

Chosen = Sequence[tuple[Tensor, torch.Generator]]
"""The indices (B,) of the images of each batch, on the CPU, and the generator of its random numbers, on the training device."""


class ResidentReader:
    """All images of a data set, kept on the training device.

    Args:
        images: (N, H, W, 3) uint8.
        crop: maximum shift of random crops in each direction in pixels, with reflect padding.
        device: the training device.
    """

    def __init__(self, images: NDArray[np.uint8], crop: int, device: torch.device) -> None:
        pixels = torch.tensor(images).permute(0, 3, 1, 2)
        self.crop, self.device = crop, device
        self.pixels = pad_reflect(pixels, crop).contiguous().to(device)

    def read(self, batches: Chosen, epoch: int) -> Iterator[Tensor]:
        """The images of each batch, (B, 3, H, W) uint8, each with its own random shift."""
        del epoch  # already part of the generators' seeds
        return (shift(self.pixels, indices.to(self.device), self.crop, random) for indices, random in batches)


class PhotoReader:
    """Random resized crops of photographs, keyed by (seed, epoch, image), and the same crops of their damaged versions.

    Args:
        photos: the clean pictures.
        damaged: their damaged versions, for pairs.
        crop: maximum shift of further random crops in each direction in pixels, with reflect padding.
        seed: of the resized crops.
        device: the training device.
    """

    def __init__(self, photos: Photos, damaged: Photos | None, crop: int, seed: int, device: torch.device) -> None:
        self.sources = [photos] if damaged is None else [photos, damaged]
        self.crop, self.seed, self.device = crop, seed, device

    def read(self, batches: Chosen, epoch: int) -> Iterator[Tensor]:
        """The images of each batch, (B, 3, H, W) uint8, or (B, 6, H, W) for pairs: clean, then damaged."""
        photos = self.sources[0]
        draws = torch.rand(len(photos), 4, generator=generator("train", self.seed, "photo crops", epoch), dtype=torch.float64).numpy()

        def crops(batch: tuple[Tensor, torch.Generator], _reserve: Reserve) -> Tensor:
            indices = batch[0].numpy()
            if photos.min_area < 1:
                parts = [source.random_crops(indices, draws[indices]) for source in self.sources]
            else:
                parts = [source[indices] for source in self.sources]
            return torch.from_numpy(np.concatenate(parts, axis=3)).permute(0, 3, 1, 2)

        for pixels, (_, random) in zip(read_ahead(batches, crops, min(AHEAD, num_cores()), AHEAD), batches, strict=True):
            padded = pad_reflect(pixels.to(self.device), self.crop)
            yield shift(padded, torch.arange(len(padded), device=self.device), self.crop, random)


def pad_reflect(pixels: Tensor, crop: int) -> Tensor:
    """Reflect padding on all sides: (N, C, H, W) uint8 -> (N, C, H + 2 * crop, W + 2 * crop)."""
    height, width = pixels.shape[2:]
    if crop >= min(height, width):
        raise UserError(
            f"Expected a crop of fewer pixels than the images have ({width} x {height}), found {crop}; choose a smaller one, such as 4."
        )
    return F.pad(pixels.float(), (crop,) * 4, mode="reflect").to(torch.uint8) if crop else pixels


def shift(padded: Tensor, indices: Tensor, crop: int, random: torch.Generator) -> Tensor:
    """Random crops of padded images: (N, C, H + 2 * crop, W + 2 * crop) and indices (B,) -> (B, C, H, W)."""
    if not crop:
        return padded[indices]
    channels, *sides = (torch.arange(length, device=padded.device) for length in padded.shape[1:])
    top, left = torch.randint(2 * crop + 1, (2, len(indices)), generator=random, device=padded.device)
    rows, columns = (start[:, None] + side[: len(side) - 2 * crop] for start, side in zip((top, left), sides, strict=True))
    return padded[indices[:, None, None, None], channels[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]
