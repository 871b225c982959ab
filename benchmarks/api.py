"""Requests per second of the API with 32 clients and PNGs of 32 pixels, against a FastAPI handler that calls the predictor for each
request.

    python benchmarks/api.py --seconds 60

Both serve the same model in a separate process on the same cores as the clients, in turns, with uvicorn, uvloop and httptools. Every
response is compared with `Predictor.predict`. `server_cpu_ms` is the processor time of the server for each request. Nothing else may run
meanwhile. Writes `results/api.json`.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import httptools
import numpy as np
import torch
import uvicorn
import uvloop

from pellucid import Predictor
from pellucid.files import atomic_write
from pellucid.inference.lines import prediction_fields
from pellucid.pictures import Picture, decode_picture, encode_png
from pellucid.provenance import provenance

NUM_PICTURES, SIDE = 256, 32
TOLERANCE = 0.02
"""Tolerance of probabilities: bfloat16 rounding differs with the batch size."""


def bare_app(model: str) -> Any:
    """The baseline: decode, predict and respond for each request."""
    from fastapi import FastAPI, Request

    app, predictor = FastAPI(), Predictor.load(model, "cpu")

    @app.post("/v1/predict")
    async def predict(request: Request) -> dict[str, Any]:
        content = await request.body()

        def work() -> dict[str, Any]:
            [prediction] = predictor.predict([decode_picture(BytesIO(content), "picture").pixels])
            return {"predictions": [prediction_fields(prediction)]}

        return await asyncio.to_thread(work)

    return app


def batched_app(model: str) -> Any:
    """The application of `pellucid app --no-page`."""
    from pellucid.serving.serve import build
    from pellucid.serving.settings import ServerSettings

    return build(ServerSettings(model=model, device="cpu", page=False))


def one_batch_app(model: str) -> Any:
    """The same with one batch at a time, computed by all cores."""
    from unittest.mock import patch

    with patch("pellucid.inference.cores.num_batches", return_value=1):
        return batched_app(model)


SERVERS = {"batched": batched_app, "bare": bare_app, "one batch": one_batch_app}


def serve(kind: str, model: str, listening: socket.socket) -> None:
    """Run a server until it is terminated."""
    config = uvicorn.Config(SERVERS[kind](model), log_level="warning", access_log=False, loop="uvloop", http="httptools")
    uvicorn.Server(config).run([listening])


class Connection(asyncio.Protocol):
    """A client with a persistent connection; uses sockets directly, since its time is taken from the server's cores."""

    def connection_made(self, transport: Any) -> None:
        """The connection is open."""
        self.transport, self.parser = transport, httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Receive a part of a response."""
        self.parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        """A missing response is an error."""
        if not self.response.done():
            self.response.set_exception(error or ConnectionError("closed"))

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """httptools: the response is complete."""
        self.response.set_result((self.parser.get_status_code(), self.body))

    async def predict(self, content: bytes) -> tuple[int, bytes]:
        """Status and body for a PNG."""
        self.body, self.response = b"", asyncio.get_running_loop().create_future()
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(content)}\r\n\r\n"
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(head.encode() + content)
        return await self.response


async def load(
    port: int, contents: list[bytes], num_clients: int, seconds: float
) -> tuple[list[float], list[tuple[int, int, bytes]], float]:
    """Seconds of each request, responses as (picture, status, body), and the total time."""
    latencies: list[float] = []
    predictions: list[tuple[int, int, bytes]] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
        index = number
        while time.perf_counter() < end:
            index = (index + num_clients + 1) % len(contents)
            start = time.perf_counter()
            status, body = await connection.predict(contents[index])
            latencies.append(time.perf_counter() - start)
            predictions.append((index, status, body))
        connection.transport.close()

    start = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(num_clients)))
    return latencies, predictions, time.perf_counter() - start


def wrong(answers: list[tuple[int, int, bytes]], expected: list[dict[str, float]]) -> int:
    """Number of responses that differ from the predictor."""
    number = 0
    for index, status, body in answers:
        probabilities = json.loads(body)["predictions"][0]["probabilities"] if status == 200 else {}
        number += not probabilities or any(
            abs(probabilities[name] - probability) > TOLERANCE for name, probability in expected[index].items()
        )
    return number


def processor_seconds(process: int | None) -> float:
    """Processor time of a process, of all its threads (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(kind: str, arguments: argparse.Namespace, contents: list[bytes], expected: list[dict[str, float]]) -> dict[str, Any]:
    """Measure a server in a new process."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(kind, arguments.model, listening), daemon=True)
        process.start()
        port = listening.getsockname()[1]
        uvloop.run(load(port, contents, arguments.clients, 0.1))  # waits for the model
        uvloop.run(load(port, contents, arguments.clients, 2))  # warms up
        before = processor_seconds(process.pid)
        latencies, predictions, seconds = uvloop.run(load(port, contents, arguments.clients, arguments.seconds))
        used = processor_seconds(process.pid) - before
        process.terminate()
        process.join()
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "requests": len(predictions),
        "per_second": round(len(predictions) / seconds, 1),
        "median_ms": round(1000 * cuts[49], 1),
        "p99_ms": round(1000 * cuts[98], 1),
        "server_cpu_ms": round(1000 * used / len(predictions), 2),
        "wrong": wrong(predictions, expected),
    }


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2, help="in turns, since machines drift")
    parser.add_argument("--one-batch", action="store_true", help="also a server that computes one batch at a time, by all cores")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, default=Path("results/api.json"))
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (NUM_PICTURES, 4, 4, 3), np.uint8)
    images = [
        each.repeat(SIDE // 4, axis=0).repeat(SIDE // 4, axis=1) // 2 + random.integers(0, 128, (SIDE, SIDE, 3), np.uint8)
        for each in coarse
    ]
    predictor = Predictor.load(arguments.model, "cpu")
    expected = [each.probabilities or {} for each in predictor.predict(images)]
    contents = [encode_png(Picture(image)) for image in images]
    kinds = [kind for kind in SERVERS if kind != "one batch" or arguments.one_batch]
    rounds = [{kind: measure(kind, arguments, contents, expected) for kind in kinds} for _ in range(arguments.rounds)]
    ratio = statistics.mean(each["batched"]["per_second"] / each["bare"]["per_second"] for each in rounds)
    figures = {"clients": arguments.clients, "seconds": arguments.seconds, "side": SIDE, "ratio": round(ratio, 2), "rounds": rounds}
    with atomic_write(arguments.out) as temporary:
        temporary.write_text(json.dumps(figures | provenance(["python", *sys.argv], torch.device("cpu")), indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    if any(each[kind]["wrong"] for each in rounds for kind in kinds):
        sys.exit("Expected every answer to be right, found wrong ones.")


if __name__ == "__main__":
    main()
