"""What several tests share: a recipe that trains in a second."""

import signal

import pytest
import torch

from pellucid.models import EncoderConfig, ModelConfig
from pellucid.objectives import ObjectiveConfig
from pellucid.recipe import DataConfig, Recipe
from pellucid.training import TrainingConfig


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """A shell starts jobs in the background with Ctrl-C ignored, and a training leaves it so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Small networks are no faster on several, and parallel tests would fight for the cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every processor computes in float32 where precision is left to choose, so that a tolerance means the same everywhere."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """A tiny network on drawn shapes: 3 epochs of 6 batches."""
    return Recipe(
        data=DataConfig(dataset="shapes", limit=96),
        model=ModelConfig(encoder=EncoderConfig(patch=2, widths=(8, 16), depths=(1, 1))),
        objective=ObjectiveConfig(weight=1.0),
        training=TrainingConfig(epochs=3, batch_size=16, precision="32-true"),
    )
