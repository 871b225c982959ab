"""`pellucid app` as a process: it starts, and stops as it should."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import numpy as np
import pytest
from servers import picture, png, save_small_model
from test_serving import check_metrics

from pellucid.cores import num_cores
from pellucid.export import export_model
from pellucid.inference import Predictor
from pellucid.inference.exported import threads_text
from pellucid.serving.settings import METRICS_FOLDER


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("saved") / "model")


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
    large = png(np.zeros((1400, 1400, 3), np.uint8))
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


def test_an_exported_model_is_served_by_several_workers(model: Path, tmp_path: Path) -> None:
    exported = export_model(model, "onnx", tmp_path / "small.onnx").path
    expected = Predictor.load(model, "cpu").predict(picture())[0]
    with started(exported, "--no-page", "--workers", 2) as (_, address):
        engine = httpx2.get(f"{address}/v1/model").json()["engine"]
        assert engine.startswith("ONNX Runtime")
        assert "OMP_NUM_THREADS" in os.environ or threads_text(max(1, num_cores() // 2)) in engine  # its share of the cores
        [line] = httpx2.post(f"{address}/v1/predict", content=png(), headers={"Content-Type": "image/png"}).json()["predictions"]
        assert (line["label"], line["model"]) == (expected.label, "small.onnx")
        assert line["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)


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


def test_workers_that_cannot_start_end_the_server(model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from pellucid.cli import main

    monkeypatch.setattr("pellucid.serving.serve.HEALTH_CHECK", 8)  # for which the supervisor waits, before it sees that a worker ended
    with pytest.raises(SystemExit) as stopped:
        main(["app", str(model), "--port", "0", "--no-page", "--workers", "2", "--device", "abacus"])
    assert stopped.value.code == 2
    printed = capfd.readouterr().err
    assert "pellucid: Expected a device that torch can use here, found 'abacus'" in printed
    assert "pellucid: Expected workers that start, found one that can't, and said why" in printed
    assert "Traceback" not in printed


def test_a_port_in_use_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    from pellucid.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        main(["app", "--port", str(taken.getsockname()[1])])
    assert "choose another --host or --port" in capsys.readouterr().err


def test_requests_of_a_killed_worker_are_no_longer_in_flight(tmp_path: Path) -> None:
    def after(code: str) -> str:
        script = f"import os\nfrom pellucid.serving.monitoring import ServerMetrics\nmetrics = ServerMetrics()\n{code}"
        shared = os.environ | {METRICS_FOLDER: str(tmp_path)}
        return subprocess.run([sys.executable, "-c", script], env=shared, capture_output=True, text=True, check=False).stdout

    after("metrics.in_flight.inc(3); metrics.batches.observe(2); os._exit(9)")
    told = after("metrics.in_flight.inc(2); print(metrics.text().decode())")
    assert re.findall(r"^pellucid_in_flight (\S+)", told, re.MULTILINE) == ["2.0"]
    assert "pellucid_batch_pictures_count 1.0" in told  # what it had done still counts
