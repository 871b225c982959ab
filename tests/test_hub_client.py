"""The hub's own client against a server that speaks its API: what is uploaded arrives whole, and loads again by its name.

The other tests of uploads replace the client. Files go as part of the commit here; the hub itself takes large ones another way, which is
the client's affair.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import pellucid
from pellucid.checkpoint import CONFIG, README, WEIGHTS
from pellucid.errors import UserError

COMMIT = "a" * 40
TOKEN = "hf_secret"


class Hub(ThreadingHTTPServer):
    """Models as files in memory, for the holder of a token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.message = ""
        self.invalid_card = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """The part of the hub's API that an upload and a download take."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self.send(200, {"url": f"{self.server.address}/me/pets"})
        elif path == "/api/validate-yaml":
            errors = [{"message": '"license" must be a string'}] if self.server.invalid_card else []
            self.send(400 if errors else 200, {"errors": errors, "warnings": []})
        elif path == "/api/models/me/pets/preupload/main":
            names = [each["path"] for each in json.loads(body)["files"]]
            self.send(200, {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        elif path == "/api/models/me/pets/commit/main":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "header":
                    self.server.message = line["value"]["summary"]
                else:
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.send(200, {"commitUrl": f"{self.server.address}/me/pets/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.send(404, {"error": f"no such address: {path}"})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        name = path.rpartition("/")[2]
        if path == "/api/models/me/pets/revision/main":
            self.send(200, {"id": "me/pets", "sha": COMMIT})
        elif path == f"/api/models/me/pets/tree/{COMMIT}":
            rows = [{"type": "file", "path": each, "size": len(content), "oid": oid(content)} for each, content in self.files.items()]
            self.send(200, rows)
        elif path == f"/me/pets/resolve/{COMMIT}/{name}" and name in self.files:
            self.send(200, self.files[name])
        else:
            self.send(404, {"error": f"no such address: {path}"})

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    @property
    def files(self) -> dict[str, bytes]:
        return self.server.files

    def send(self, status: int, content: Any) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(content, bytes) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{oid(body)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def oid(content: bytes) -> str:
    """As git names a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub on this machine, and a cache of its own."""
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("urllib.request.getproxies", dict)
        for name in ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield server
        server.shutdown()


def test_the_client_uploads_a_whole_model(hub: Hub) -> None:
    url = pellucid.push_to_hub("bundled", "me/pets", token=TOKEN, message="First")
    bundled = Path(pellucid.__file__).parent / "bundled"
    assert url == f"{hub.address}/me/pets"
    [asked] = hub.created
    assert (asked["organization"], asked["name"], asked["visibility"]) == ("me", "pets", "private")
    assert hub.message == "First"
    assert sorted(hub.files) == sorted([CONFIG, README, WEIGHTS])
    assert all(hub.files[name] == (bundled / name).read_bytes() for name in (CONFIG, WEIGHTS))
    assert b'pellucid.from_pretrained("me/pets")' in hub.files[README]


def test_the_client_downloads_what_it_uploaded(hub: Hub, tmp_path: Path) -> None:
    pellucid.push_to_hub("bundled", "me/pets", private=False, token=TOKEN)
    assert hub.created[0]["visibility"] == "public"
    predictor = pellucid.from_pretrained("me/pets", device="cpu")
    assert predictor.classes[0] == "airplane"
    [weights] = (tmp_path / "cache").rglob(f"snapshots/{COMMIT}/{WEIGHTS}")
    assert weights.read_bytes() == hub.files[WEIGHTS]


def test_a_wrong_token_is_a_sentence(hub: Hub) -> None:
    with pytest.raises(UserError, match=r"found that it refused: .*401"):
        pellucid.push_to_hub("bundled", "me/pets", token="hf_other")
    assert not hub.files


def test_a_card_that_the_hub_refuses_is_a_sentence(hub: Hub) -> None:
    hub.invalid_card = True
    with pytest.raises(UserError, match=r'refused: Invalid metadata in README\.md\. - "license" must be a string'):
        pellucid.push_to_hub("bundled", "me/pets", token=TOKEN)
    assert not hub.files


def test_a_model_that_the_hub_does_not_have_is_a_sentence(hub: Hub) -> None:
    with pytest.raises(UserError, match="the hub gave no such model"):
        pellucid.from_pretrained("me/dogs", device="cpu")
