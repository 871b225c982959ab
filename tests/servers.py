"""Servers for tests: a small network behind the API, in a thread of its own."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch
import uvicorn
from numpy.typing import NDArray
from PIL import Image

from pellucid.checkpoint import ModelMetadata, save_model
from pellucid.inference import Prediction, Predictor
from pellucid.models import EncoderConfig, ModelConfig, build_model
from pellucid.serving.app import build_app
from pellucid.serving.serve import config, listen
from pellucid.serving.service import Service
from pellucid.serving.settings import Limits, ServerSettings

CLASSES = ("cat", "dog", "ship")


DAMAGES = ("gaussian_noise", "occlusion")
CONFIG = ModelConfig(encoder=EncoderConfig(widths=(8, 16), depths=(1, 1)), damage_head=True)


def network() -> torch.nn.Module:
    """A small network with all heads, and arbitrary weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(CONFIG, len(CLASSES), DAMAGES).eval()


def predictor() -> Predictor:
    return Predictor(network(), CLASSES, damages=DAMAGES)


def save_small_model(folder: Path) -> Path:
    save_model(folder, network(), ModelMetadata(CONFIG, CLASSES, DAMAGES))
    return folder


class Slow:
    """A predictor that takes its time, and can be held."""

    classes, damages, image_size, batch_size, device = CLASSES, (), 32, 64, torch.device("cpu")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.go, self.sizes = seconds, threading.Event(), list[int]()
        if seconds:
            self.go.set()

    def predict(self, images: Sequence[NDArray[Any]]) -> list[Prediction]:
        self.sizes.append(len(images))
        assert self.go.wait(30)
        time.sleep(self.seconds)
        if any((image == 66).all() for image in images):
            raise RuntimeError("a picture that the network can't stand")
        return [Prediction("cat", 1.0, {"cat": 1.0}, image) for image in images]


def picture(height: int = 12, width: int = 20, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(image: NDArray[Any] | None = None) -> bytes:
    return encoded(Image.fromarray(picture() if image is None else image), "PNG")


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def decoded(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


@contextmanager
def serving(service: Service, **options: Any) -> Iterator[httpx2.Client]:
    """A client of a server in a thread."""
    settings = ServerSettings(port=0, page=False, limits=service.limits)
    with listen(settings) as listening:
        server = uvicorn.Server(config(settings, build_app(service, **options)))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx2.Client(base_url=address, timeout=30, limits=httpx2.Limits(max_connections=128)) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(30)


def service(of: Any = None, **limits: Any) -> Service:
    return Service(predictor() if of is None else of, Limits(**limits), name="small")
