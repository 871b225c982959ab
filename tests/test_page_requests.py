"""Requests to the page beside those of its scripts: no file of the machine is read for them, and nothing is fetched."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from servers import png
from test_serving_process import started

from pellucid.serving.page_requests import MAX_EVENT, PageRequests
from pellucid.serving.refusal import Refusal


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("page")
    with (
        started("--timeout", 200, GRADIO_ANALYTICS_ENABLED="False", TMPDIR=str(folder)) as (_, address),
        httpx2.Client(base_url=address, timeout=60) as client,
    ):
        yield client


def event(client: httpx2.Client, file: dict[str, Any] | None) -> dict[str, Any]:
    """The event by which the page sends its inputs."""
    functions = client.get("/config").json()["dependencies"]
    index = next(each["id"] for each in functions if (len(each["inputs"]), len(each["outputs"])) == (5, 7))
    return {"data": [file, None, "none", 50, 0], "fn_index": index, "session_hash": "visitor", "event_data": None, "trigger_id": None}


def uploaded(path: str) -> dict[str, Any]:
    return {"path": path, "orig_name": "a.png", "size": 1, "meta": {"_type": "gradio.FileData"}}


def error(response: httpx2.Response) -> str:
    assert response.json()["error"]["message"].startswith("Expected ")
    return str(response.json()["error"]["code"])


def result(client: httpx2.Client) -> dict[str, Any]:
    """What comes of an event that was taken."""
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "visitor"}) as response:
        for line in response.iter_lines():
            message = json.loads(line.removeprefix("data:")) if line else {}
            if message.get("msg") == "process_completed":
                return dict(message)
    raise AssertionError("no result")


def test_a_file_that_was_uploaded_is_taken(client: httpx2.Client) -> None:
    [path] = client.post("/gradio_api/upload", files={"files": ("../../evil.png", png())}).json()
    joined = client.post("/gradio_api/queue/join", json=event(client, uploaded(path)))
    assert joined.status_code == 200, joined.text
    message = result(client)
    assert message["success"], message
    restored = message["output"]["data"][0][1]["path"]
    assert client.get(f"/gradio_api/file={restored}").headers["content-type"] == "image/png"
    assert Path(path).is_relative_to(Path(restored).parents[1])  # the folder of the page


def test_a_file_that_was_not_uploaded_is_refused(client: httpx2.Client, tmp_path: Path) -> None:
    private = tmp_path / "private.png"
    private.write_bytes(png())
    [path] = client.post("/gradio_api/upload", files={"files": ("a.png", png())}).json()
    for other in (str(private), "/etc/passwd", "private.png", "", f"{path}/../../../{private}", f"{Path(path).parents[1]}//{private}"):
        response = client.post("/gradio_api/queue/join", json=event(client, uploaded(other)))
        assert (response.status_code, error(response)) == (422, "invalid_request"), other
        response = client.get(f"/gradio_api/file={other}")
        assert response.status_code == 404, other
    hidden = event(client, None) | {"event_data": {"deep": [{"path": str(private)}]}}
    assert error(client.post("/gradio_api/queue/join", json=hidden)) == "invalid_request"


def test_no_address_elsewhere_is_fetched(client: httpx2.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(1)
        asked = threading.Event()

        def listen() -> None:
            try:
                elsewhere.accept()
                asked.set()
            except TimeoutError:
                pass

        thread = threading.Thread(target=listen)
        thread.start()
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/a.png"
        for url in (address, "https://example.org/a.png"):
            assert error(client.post("/gradio_api/queue/join", json=event(client, uploaded(url)))) == "invalid_request"
            assert client.get(f"/gradio_api/file={url}").status_code == 404
            assert client.get(f"/gradio_api/proxy={url}").status_code == 404
        thread.join()
        assert not asked.is_set()


def test_other_addresses_of_gradio_are_not_there(client: httpx2.Client) -> None:
    for method, path in (
        ("POST", "/gradio_api/run/show"), ("POST", "/gradio_api/call/show"), ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"), ("POST", "/gradio_api/stream/x"), ("POST", "/login"), ("POST", "/"),
        ("GET", "/monitoring"), ("GET", "/gradio_api/file/etc/passwd"), ("GET", "/gradio_api/token"), ("GET", "/nothing"),
        ("PUT", "/gradio_api/upload"), ("DELETE", "/"),
    ):  # fmt: skip
        response = client.request(method, path)
        assert (response.status_code, error(response)) == (404, "not_found"), (method, path)


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", "bad_request"), (b"\xff", "bad_request"), (b"[" * 90_000, "bad_request"), (b'"' + bytes(MAX_EVENT) + b'"', "too_many_bytes")],
)
def test_events_that_make_no_sense_are_refused(client: httpx2.Client, body: bytes, code: str) -> None:
    response = client.post("/gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"})
    assert error(response) == code
    assert client.get("/healthz").status_code == 200


def test_the_time_limit_holds_for_the_page_too(tmp_path: Path) -> None:
    with (
        started("--timeout", 0.001, GRADIO_ANALYTICS_ENABLED="False", TMPDIR=str(tmp_path)) as (_, address),
        httpx2.Client(base_url=address, timeout=60) as client,
    ):
        inputs = event(client, None)
        inputs["data"][1] = 8  # an example
        assert client.post("/gradio_api/queue/join", json=inputs).status_code == 200
        message = result(client)
        assert not message["success"]
        assert message["output"]["error"].startswith("Expected a result within 0.001 seconds, found none;")


def test_uploads_that_broke_off_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(*_: Any) -> None:
        pass

    (tmp_path / "finished").mkdir()
    for name in ("broken-off", "finished/a.png", "under-way"):
        (tmp_path / name).write_bytes(bytes(100))
    for name in ("broken-off", "finished/a.png"):
        os.utime(tmp_path / name, (0, 0))
    page = PageRequests(app, tmp_path, 250)  # which the one that broke off would exceed
    asyncio.run(page({"type": "http", "method": "POST", "path": "/gradio_api/upload"}, None, None))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.png", "under-way"]


def test_gradio_keeps_uploads_that_break_off_directly_in_the_folder(
    client: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # By which they are told from finished ones.
    [path] = client.post("/gradio_api/upload", files={"files": ("a.png", png())}).json()
    place = Path(path).parents[1]
    before = {each for each in place.iterdir() if each.is_file()}
    client.post("/gradio_api/upload", files={"other": ("a.png", png())})
    left = {each for each in place.iterdir() if each.is_file()} - before
    assert [each.read_bytes() for each in left] == [png()]


def test_uploads_have_room_together_up_to_a_limit(tmp_path: Path) -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["path"])

    requests = PageRequests(app, tmp_path, most=1000)
    upload = {"path": "/gradio_api/upload", "method": "POST"}
    (tmp_path / "visitor").mkdir()
    (tmp_path / "visitor" / "a.png").write_bytes(bytes(900))
    asyncio.run(requests(upload, None, None))
    (tmp_path / "visitor" / "b.png").write_bytes(bytes(200))
    with pytest.raises(Refusal, match="Expected room for the file"):
        asyncio.run(requests(upload, None, None))
    asyncio.run(requests({"path": "/config", "method": "GET"}, None, None))
    (tmp_path / "visitor" / "a.png").unlink()
    asyncio.run(requests(upload, None, None))
    assert seen == ["/gradio_api/upload", "/config", "/gradio_api/upload"]
