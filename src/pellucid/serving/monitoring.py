"""Monitoring: metrics of the server, in the format of Prometheus."""

import os
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest, multiprocess

from pellucid.serving.settings import METRICS_FOLDER

disable_created_metrics()  # type: ignore[no-untyped-call]  # avoids a second line for each metric

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
PICTURES = (1, 2, 4, 8, 16, 32, 64)


class ServerMetrics:
    """Metrics of one worker; `text` merges those of all workers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of: dict[str, Any] = {"namespace": "pellucid", "registry": self.registry}
        self.requests = Counter("requests", "Requests answered, by address and status.", ("path", "status"), **of)
        self.seconds = Histogram("request_seconds", "Seconds from the head of a prediction's request to its answer.", buckets=SECONDS, **of)
        self.batches = Histogram("batch_pictures", "Pictures that went through the network together.", buckets=PICTURES, **of)
        self.in_flight = Gauge("in_flight", "Requests for predictions in flight.", multiprocess_mode="livesum", **of)

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        if METRICS_FOLDER not in os.environ:
            return generate_latest(self.registry)
        for file in Path(os.environ[METRICS_FOLDER]).glob("gauge_livesum_*.db"):  # a killed worker's requests are no longer in flight
            if not _is_alive(number := int(file.stem.rpartition("_")[2])):
                multiprocess.mark_process_dead(number)  # type: ignore[no-untyped-call]
        merged = CollectorRegistry()
        multiprocess.MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
        return generate_latest(merged)


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # where 0 is a signal that ends processes
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, but not ours
        return True
    return True
