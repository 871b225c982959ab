"""`pellucid app`: runs the server in one or several processes; accepted requests are completed on shutdown."""

import os
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from pellucid.cores import num_cores
from pellucid.errors import UserError
from pellucid.serving.settings import METRICS_FOLDER, ServerSettings

BACKLOG = 2048
"""Maximum number of connections that wait to be accepted."""

HEALTH_CHECK = 60
"""Seconds within which a worker must answer its supervisor; one on busy cores is slow."""


def serve(settings: ServerSettings, log: Callable[[str], None] = print) -> None:
    """Serve until SIGINT or SIGTERM; accepted requests are completed. Raises `UserError` if the port or the model is not available."""
    with listen(settings) as listening:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{listening.getsockname()[1]}"
        page = f"{address}/ (the page), " if settings.page else ""
        ready = f"Serving {settings.model}: {page}{address}/docs (the API). Ctrl-C ends it."
        if settings.workers == 1:
            application = build(settings)
            log(ready)
            uvicorn.Server(config(settings, application)).run([listening])
        else:
            from pellucid.inference.source import open_backend

            open_backend(settings.model, "cpu")  # report errors once, not in each worker; a GPU is left to the workers
            log(ready)
            with TemporaryDirectory(prefix="pellucid-") as folder:
                os.environ[METRICS_FOLDER] = folder
                supervisor = Multiprocess(config(settings, partial(_build_worker, settings), factory=True), [listening])
                supervisor.run()
            if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
                raise UserError(
                    "Expected workers that start, found one that can't, and said why; choose fewer of them, or another --device."
                )


def build(settings: ServerSettings) -> ASGIApp:
    """The application of one worker, with its model."""
    import torch  # only now, like the modules below: a process must respond to its supervisor while torch loads

    from pellucid.inference import Predictor
    from pellucid.inference.cores import num_batches
    from pellucid.serving.app import build_app
    from pellucid.serving.service import Service

    warnings.filterwarnings("ignore", module=r"PIL\.|pydicom\.")  # of damaged metadata; relevant damage becomes an error
    if settings.workers > 1:
        share = max(1, num_cores() // settings.workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(share))  # of the engines of exported models
        torch.set_num_threads(share)
    predictor = Predictor.load(settings.model, settings.device, mirror=settings.mirror)
    name = Path(settings.model).name  # without its folder
    service = Service(predictor, settings.limits, name, settings.mirror, num_threads=num_batches(predictor))
    return build_app(service, settings.token, settings.page)


def _build_worker(settings: ServerSettings) -> ASGIApp:
    """`build` in a process of its own, which is not started again if it fails."""
    try:
        return build(settings)
    except Exception as error:
        print(f"pellucid: {error}" if isinstance(error, UserError) else traceback.format_exc(), file=sys.stderr)
        sys.exit(STARTUP_FAILURE)


def config(settings: ServerSettings, application: ASGIApp | Callable[[], ASGIApp], factory: bool = False) -> uvicorn.Config:
    """Uvicorn's configuration."""
    return uvicorn.Config(
        application,
        factory=factory,
        workers=settings.workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(settings.limits.timeout) + 1,
        timeout_worker_healthcheck=HEALTH_CHECK,
    )


def listen(settings: ServerSettings) -> socket.socket:
    """Open a listening socket; raises `UserError` if the address is not available."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"Expected an address to listen to, found that {settings.host}:{settings.port} can't be had ({reason}); choose another --host "
            "or --port."
        ) from error
