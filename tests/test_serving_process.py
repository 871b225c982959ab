"""`pellucid app` as a process: it starts, stops as it should, and survives what is thrown at it."""

import base64
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from servers import encoded, picture, png, predictor, service, serving
from test_serving import check_metrics

from pellucid.checkpoint import ModelMetadata, save_model
from pellucid.models import EncoderConfig, ModelConfig

CONFIG = ModelConfig(encoder=EncoderConfig(widths=(8, 16), depths=(1, 1)), damage_head=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    small = predictor()
    save_model(folder, small.backend.network, ModelMetadata(CONFIG, small.classes, small.damages))
    return folder


@contextmanager
def started(*arguments: object, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, and its address."""
    start = "import sys; from pellucid.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", start, "app", *map(str, arguments), "--port", "0", "--device", "cpu"]
    environment = os.environ | variables
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        actual = re.search(r"http://[\d.]+:\d+", line)
        assert actual, (line, process.stderr and process.stderr.read())
        wait_until_healthy(actual[0])
        yield process, actual[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too, which hold the pipes
        process.communicate()


def wait_until_healthy(address: str) -> None:
    deadline = time.monotonic() + 240  # workers import torch, which takes its time on busy cores
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{address}/healthz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    pytest.fail("the server did not start")


def test_what_was_taken_is_answered_before_the_end(model: Path) -> None:
    large = png(np.zeros((700, 700, 3), np.uint8))
    with started(model, "--no-page") as (process, address), ThreadPoolExecutor(6) as pool:
        headers = {"Content-Type": "image/png"}
        waiting = [pool.submit(httpx2.post, f"{address}/v1/predict", content=large, headers=headers, timeout=60) for _ in range(6)]
        while float(re.findall(r"^pellucid_in_flight (\S+)", httpx2.get(f"{address}/metrics").text, re.MULTILINE)[0]) < 6:
            assert not any(each.done() for each in waiting)
        process.send_signal(signal.SIGTERM)
        assert [each.result().status_code for each in waiting] == [200] * 6
        process.wait(30)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_several_workers_share_the_requests_and_the_figures(model: Path) -> None:
    with started(model, "--no-page", "--workers", 2) as (process, address):
        with ThreadPoolExecutor(16) as pool:
            headers = {"Content-Type": "image/png", "Connection": "close"}
            statuses = list(pool.map(lambda _: httpx2.post(f"{address}/v1/predict", content=png(), headers=headers).status_code, range(64)))
        assert statuses == [200] * 64
        metrics = httpx2.get(f"{address}/metrics").text
        assert 'path="/v1/predict",status="200"} 64.0' in metrics
        assert check_metrics(metrics)["pellucid_batch_pictures_sum"] == 64
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_the_token_comes_from_the_environment(model: Path) -> None:
    with started(model, "--no-page", PELLUCID_TOKEN="a secret token") as (_, address):
        assert httpx2.get(f"{address}/v1/model").status_code == 401
        assert httpx2.get(f"{address}/v1/model", headers={"Authorization": "Bearer a secret token"}).json()["model"] == "model"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "Expected a token for 0.0.0.0"),
        (["--host", "no.such.host.invalid", "--open-to-all"], "can't be had"),
        (["nowhere"], "found nowhere"),
        (["--workers", "2"], "--no-page"),
        (["--max-bytes", "0"], "max_bytes"),
    ],
)
def test_mistakes_are_a_sentence(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from pellucid.cli import main

    with pytest.raises(SystemExit) as stopped:
        main(["app", "--port", "0", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    from pellucid.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        main(["app", "--port", str(taken.getsockname()[1])])
    assert "choose another --host or --port" in capsys.readouterr().err


def resident() -> float:
    """Resident memory of this process in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def fuzzed(random: random.Random, seeds: list[bytes]) -> tuple[bytes, str]:
    """A body that is nearly right, and its Content-Type."""
    content = bytearray(random.choice(seeds))
    for _ in range(random.choice((0, 1, 3, 10, 100))):
        match random.randrange(5):
            case 0:
                content[random.randrange(len(content))] = random.randrange(256)
            case 1:
                del content[random.randrange(len(content)) :]
            case 2:
                position = random.randrange(len(content) + 1)
                content[position:position] = random.randbytes(random.randrange(1, 9))
            case 3:
                position = random.randrange(len(content))
                content[position : position + 4] = random.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff"))
            case _:
                start, position = sorted(random.randrange(len(content)) for _ in range(2))
                content[position:position] = content[start:position][:200]
        if not content:
            content = bytearray(b"\0")
    body = bytes(content)
    match random.randrange(4):
        case 0:
            text = base64.b64encode(body).decode()
            value = random.choice(({"image": text}, {"images": [text, text]}, {"image": text[: random.randrange(len(text) + 1)]}, [text]))
            encoded = json.dumps(value).encode()
            return encoded[: random.choice((len(encoded), random.randrange(len(encoded))))], "application/json"
        case 1:
            head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="../a"\r\n\r\n'
            form = bytearray(head + body + b"\r\n--b--\r\n")
            if random.random() < 0.5:
                form[random.randrange(len(head))] = random.randrange(256)
            return bytes(form), "multipart/form-data; boundary=b"
        case _:
            return body, random.choice(("image/png", "application/octet-stream"))


def test_2000_fuzzed_bodies_leave_the_server_healthy() -> None:
    image = Image.fromarray(picture(24, 24))
    seeds = [encoded(image, form) for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")]
    seeds += [encoded(image.convert("CMYK"), "JPEG"), encoded(image.convert("P"), "GIF"), encoded(image.convert("I;16"), "PNG")]
    draw = random.Random(0)
    bodies = [fuzzed(draw, seeds) for _ in range(2000)]
    statuses: dict[int, int] = {}
    lock = threading.Lock()
    with serving(service(max_bytes=100_000, max_pixels=100_000)) as client:

        def send(body: tuple[bytes, str]) -> None:
            response = client.post("/v1/predict", content=body[0], headers={"Content-Type": body[1]}, params={"restored": "true"})
            assert response.status_code == 200 or response.json()["error"]["message"].startswith("Expected "), response.text
            with lock:
                statuses[response.status_code] = statuses.get(response.status_code, 0) + 1

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, bodies[:500]))
            before = resident()
            list(pool.map(send, bodies[500:]))
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/predict", content=png(), headers={"Content-Type": "image/png"}).status_code == 200
        assert "pellucid_in_flight 0.0" in client.get("/metrics").text
    assert sum(statuses.values()) == 2000
    assert not [status for status in statuses if status >= 500]
    assert statuses[200] > 100  # some are still pictures
    assert statuses[422] > 500
    assert resident() - before < 60
