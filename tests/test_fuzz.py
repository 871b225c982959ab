"""2,000 fuzzed bodies against `pellucid app`: it stays healthy, answers none with a 5xx, and its memory stays flat."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from servers import encoded, picture, png, save_small_model
from test_serving_process import started

NUM_BODIES, AT_ONCE = 2_000, 8

IMAGE = Image.fromarray(picture(24, 24))
SEEDS = [
    *(encoded(IMAGE, form) for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")),
    encoded(IMAGE.convert("CMYK"), "JPEG"),
    encoded(IMAGE.convert("P"), "GIF"),
    encoded(IMAGE.convert("I;16"), "PNG"),
]

PADDING = np.random.default_rng(0).bytes(40_000)
"""Bytes behind most files, which decoders ignore: with them a server that keeps one body for each request can't be overlooked."""

MAX_GROWTH = 0.2
"""Maximum growth of the server's memory, relative to the size of the bodies that it receives meanwhile."""

Body = tuple[bytes, str]
Edit = tuple[str, int, bytes]

EDITS = st.lists(
    st.tuples(st.sampled_from(("set", "cut", "insert", "repeat")), st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=8
)


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """A file that is nearly right."""
    for kind, position, value in edits:
        at = position % max(1, len(content))
        match kind:
            case "set":
                content = content[:at] + value + content[at + len(value) :]
            case "cut":
                content = content[:at]
            case "insert":
                content = content[:at] + value + content[at:]
            case "repeat":
                content = content[:at] + content[at : at + 200] + content[at:]
    return content


def as_json(content: bytes, edits: list[Edit]) -> Body:
    text = base64.b64encode(content).decode()
    return edited(json.dumps({"image": text}).encode(), edits), "application/json"


def as_list(content: bytes, edits: list[Edit]) -> Body:
    text = base64.b64encode(content).decode()
    return edited(json.dumps({"images": [text[: len(text) // 2], text]}).encode(), edits), "application/json"


def as_form(content: bytes, edits: list[Edit]) -> Body:
    head = edited(b'--b\r\nContent-Disposition: form-data; name="image"; filename="../a"\r\n\r\n', edits)
    return head + content + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


FORMS = [lambda content, _: (content, "image/png"), lambda content, _: (content, "application/octet-stream"), as_json, as_list, as_form]

BODIES = st.builds(
    lambda form, seed, of_file, padding, of_body: form(edited(seed, of_file) + padding, of_body),
    st.sampled_from(FORMS),
    st.sampled_from(SEEDS),
    EDITS,
    st.sampled_from((PADDING, PADDING, PADDING, b"")),
    st.one_of(st.just([]), EDITS),
)


def resident(process: int) -> int:
    """Resident memory of a process in bytes (Linux)."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, httpx2.Client]]:
    """The process and a client of it."""
    model = save_small_model(tmp_path_factory.mktemp("saved") / "model")
    limits = ("--no-page", "--max-bytes", 150_000, "--max-pixels", 100_000)
    with started(model, *limits) as (process, address), httpx2.Client(base_url=address, timeout=60) as client:
        yield process.pid, client


def test_2000_fuzzed_bodies_leave_the_server_healthy(server: tuple[int, httpx2.Client]) -> None:
    process, client = server
    statuses, sent, memory = Counter[int](), list[int](), list[int]()

    def send(body: Body) -> httpx2.Response:
        return client.post("/v1/predict", content=body[0], headers={"Content-Type": body[1]}, params={"restored": "true"})

    with ThreadPoolExecutor(AT_ONCE) as pool:

        @given(st.lists(BODIES, min_size=AT_ONCE, max_size=AT_ONCE))
        @settings(
            max_examples=NUM_BODIES // AT_ONCE,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            deadline=None,
        )
        def send_all(bodies: list[Body]) -> None:
            for response in pool.map(send, bodies):
                assert response.status_code < 500, response.text
                assert response.status_code == 200 or response.json()["error"]["message"].startswith("Expected "), response.text
                statuses[response.status_code] += 1
            sent.append(sum(len(body) for body, _ in bodies))
            memory.append(resident(process))

        send_all()
    assert statuses.total() == NUM_BODIES
    assert statuses[200] > 100  # some are still pictures
    assert statuses[422] > 500
    assert client.get("/healthz").status_code == 200
    assert client.post("/v1/predict", content=png(), headers={"Content-Type": "image/png"}).status_code == 200
    assert "pellucid_in_flight 0.0" in client.get("/metrics").text
    first = len(memory) // 4  # until then, buffers and caches grow
    assert sum(sent[first:]) > 30_000_000
    assert memory[-1] - memory[first] < MAX_GROWTH * sum(sent[first:]), (memory, sent)
