"""The application of one worker. Imports happen when it is built: a process must respond to its supervisor while torch loads."""

from typing import TYPE_CHECKING

from pellucid.serving.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def build(settings: ServerSettings) -> "ASGIApp":
    """The application of one worker, with its model."""
    import os
    import warnings
    from pathlib import Path

    import torch

    from pellucid.inference import Predictor
    from pellucid.inference.cores import num_batches
    from pellucid.serving.app import build_app
    from pellucid.serving.service import Service

    warnings.filterwarnings("ignore", module=r"PIL\.|pydicom\.")  # of damaged metadata; relevant damage becomes an error
    if settings.workers > 1:
        share = max(1, (os.cpu_count() or 1) // settings.workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(share))  # of the engines of exported models
        torch.set_num_threads(share)
    predictor = Predictor.load(settings.model, settings.device, mirror=settings.mirror)
    name = Path(settings.model).name  # without its folder
    service = Service(predictor, settings.limits, name, settings.mirror, num_threads=num_batches(predictor))
    return build_app(service, settings.token, settings.page)
