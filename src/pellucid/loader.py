"""The training loader: clean images -> degraded batches, in an order that depends on the seed alone."""

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.batch import Batch, Degrade
from pellucid.data import Dataset, Photos
from pellucid.labels import UNLABELLED
from pellucid.readers import PhotoReader, ResidentReader
from pellucid.seeding import generator


def num_batches(num_images: int, batch_size: int, world_size: int = 1) -> int:
    """Number of batches of one epoch; an incomplete last batch is dropped, and fewer images than `batch_size` form one batch."""
    return num_images // (min(batch_size, num_images) // world_size * world_size)


class TrainLoader:
    """Batches of cropped, flipped and degraded images, computed on the training device.

    All randomness is keyed by (seed, epoch, batch): two runs with the same seed see the same images, crops and damage whatever network
    they train, and a resumed run continues exactly. An incomplete last batch of an epoch is dropped.

    Args:
        dataset: the clean images: an array, which is moved to `device` once, or photographs.
        degrade: clean images (B, 3, H, W) and a generator -> degraded images and `Damage`.
        batch_size: images per batch over all processes; at most the size of the data set.
        seed: of the order, the crops, the flips and the damage.
        crop: maximum shift of random crops in each direction in pixels, with reflect padding.
        labelled_share: fraction of labelled images in every global batch, if some images are unlabelled, and at least their fraction of all
            images: a few unlabelled ones are not repeated. Labelled and unlabelled images are reshuffled separately, in passes that may
            span epochs. `None` ignores whether images are labelled.
        flip: `random`, `alternate` (each image flipped in every other epoch, Jordan 2024) or `none`.
        device: the training device.
        rank, world_size: rank of this process and number of processes; each takes an equal share of every global batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        degrade: Degrade,
        *,
        batch_size: int,
        seed: int,
        crop: int = 0,
        labelled_share: float | None = None,
        flip: Literal["random", "alternate", "none"] = "none",
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.device = torch.device(device)
        self.labels = torch.tensor(dataset.labels, device=self.device)
        self.degrade, self.seed, self.crop, self.flip = degrade, seed, crop, flip
        self.rank, self.world_size = rank, world_size
        self.scale = 1.0
        """Scale factor of the images' sides, from the next batch on."""
        self.batch_size = min(batch_size, len(self.labels)) // world_size
        self.num_batches = num_batches(len(self.labels), batch_size, world_size)
        self._kinds = self._by_label(torch.tensor(dataset.labels) != UNLABELLED, labelled_share)
        images = dataset.images
        self.reader = (
            PhotoReader(images, dataset.damaged, crop, seed, self.device)
            if isinstance(images, Photos)
            else ResidentReader(images, crop, self.device)
        )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from batch `start` on."""
        order = self._order(epoch)
        mirrored = self._mirrored(epoch)
        batches = []
        for index in range(start, self.num_batches):
            first = (index * self.world_size + self.rank) * self.batch_size
            batches.append((order[first : first + self.batch_size], self._generator("batch", epoch, index, self.rank)))
        for (indices, random), pixels in zip(batches, self.reader.read(batches, epoch), strict=True):
            flips = mirrored[indices].to(self.device)
            images = torch.where(flips[:, None, None, None], pixels.flip(3), pixels).float().div_(255)
            if self.scale != 1:
                size = [round(self.scale * side) for side in images.shape[2:]]
                images = F.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
            clean, to_degrade = images[:, :3], images[:, -3:]  # the same images, unless they are pairs
            degraded, damage = self.degrade(to_degrade, random)
            yield Batch(clean, degraded, self.labels[indices.to(self.device)], damage)

    def _by_label(self, labelled: Tensor, share: float | None) -> dict[str, tuple[Tensor, Tensor]]:
        """Indices of the labelled and of the unlabelled images in the data set and in a global batch, where they are interleaved.

        labelled: (N,) bool. Empty if all or no images are labelled, or without a share.
        """
        if share is None or labelled.all() or not labelled.any():
            return {}
        size = self.batch_size * self.world_size
        of_all = min(round(float(labelled.double().mean()) * size), size - 1)
        num_labelled = max(1, round(share * size), of_all)
        counts = torch.arange(size + 1) * num_labelled // size
        with_label = counts.diff() > 0
        return {
            "labelled": (labelled.nonzero().squeeze(1), with_label.nonzero().squeeze(1)),
            "unlabelled": ((~labelled).nonzero().squeeze(1), (~with_label).nonzero().squeeze(1)),
        }

    def _order(self, epoch: int) -> Tensor:
        """The data set indices of an epoch's images, batch after batch."""
        if not self._kinds:
            return torch.randperm(len(self.labels), generator=self._generator("order", epoch))
        order = torch.empty(self.num_batches, self.batch_size * self.world_size, dtype=torch.int64)
        for kind, (images, positions) in self._kinds.items():
            count = self.num_batches * len(positions)
            order[:, positions] = self._passes(kind, images, epoch * count, count).view(self.num_batches, len(positions))
        return order.flatten()

    def _passes(self, kind: str, images: Tensor, first: int, count: int) -> Tensor:
        """`count` elements from index `first` on of an endless sequence of shuffled passes over `images`."""
        passes = range(first // len(images), -(-(first + count) // len(images)))
        shuffled = [images[torch.randperm(len(images), generator=self._generator("order", kind, number))] for number in passes]
        return torch.cat([images[:0], *shuffled])[first - passes.start * len(images) :][:count]

    def _generator(self, *names: str | int) -> torch.Generator:
        return generator("train", self.seed, *names, device="cpu" if names[0] == "order" else self.device)

    def _mirrored(self, epoch: int) -> Tensor:
        """(N,) bool: which images are flipped in this epoch."""
        num_images = len(self.labels)
        if self.flip == "none":
            return torch.zeros(num_images, dtype=torch.bool)
        first = generator("train", self.seed, "flip", 0 if self.flip == "alternate" else epoch)
        coins = torch.rand(num_images, generator=first) < 0.5
        return coins ^ bool(epoch % 2) if self.flip == "alternate" else coins
