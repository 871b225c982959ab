"""Checks requests to the page before Gradio handles them: known addresses only, and no path except for files of the page itself.

A mounted Gradio reads any file of the machine that an event names as its input, since its own check is only made after `launch`, which
a mounted page does not call; and it fetches any address that an event names.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pellucid.serving.refusal import Refusal

API = "/gradio_api"
FILE = f"{API}/file="

READ = (
    *("/", "/config", "/theme.css", "/manifest.json", "/favicon.ico", "/robots.txt"),
    *(f"{API}/{name}" for name in ("app_id", "info", "queue/data", "startup-events", "theme.css", "upload_progress")),
)
"""Addresses of GET and HEAD."""

READ_BELOW = ("/assets/", "/static/", "/svelte/", f"{API}/heartbeat/")
"""Prefixes of addresses of GET and HEAD: files of Gradio's package, and the connection that keeps a visitor's session."""

UPLOAD = f"{API}/upload"
EVENTS = (f"{API}/queue/join", f"{API}/cancel", f"{API}/reset")
"""Addresses of POST with a JSON body."""

MAX_EVENT = 100_000
"""Maximum size of such a body in bytes; those of the page have a few hundred."""

UNFINISHED = 600.0
"""Seconds without a further byte after which an upload has broken off."""


class PageRequests:
    """ASGI middleware around Gradio; raises `Refusal`.

    folder: of the files that were uploaded to the page or written by it, the only ones that a request may name; most: bytes that they may
    have together, until Gradio deletes old ones.
    """

    def __init__(self, app: ASGIApp, folder: Path, most: int) -> None:
        self.app, self.place, self.most = app, folder, most
        self.folder = os.path.join(folder, "")  # noqa: PTH118 - with a separator at its end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to Gradio, or refuse it."""
        path, method = scope["path"], scope["method"]
        if method == "POST" and path in EVENTS:
            receive = await self._checked(receive)
        elif (method, path) == ("POST", UPLOAD):
            self._remove_unfinished()
            asyncio.get_running_loop().call_later(UNFINISHED + 1, self._remove_unfinished)
            if _size(self.place) > self.most:
                raise Refusal("too_many_requests", "Expected room for the file, found it taken by those of others; try again later.")
        elif not (method in ("GET", "HEAD") and self._may_read(path)):
            raise Refusal("not_found", f"Expected an address of the page or one of /docs, found another for {method}; see /docs.")
        await self.app(scope, receive, send)

    def _remove_unfinished(self) -> None:
        """Remove what Gradio leaves of uploads that broke off: it lies directly in the folder, finished ones in folders of their own."""
        for file in self.place.glob("*"):
            with suppress(OSError):
                if file.is_file() and time.time() - file.stat().st_mtime > UNFINISHED:
                    file.unlink()

    async def _checked(self, receive: Receive) -> Receive:
        """Read and check the body of an event; returns a function that passes it on."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refusal("bad_request", "Expected a whole body, found the connection closed.")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_EVENT:
                raise Refusal("too_many_bytes", f"Expected an event of at most {MAX_EVENT:,} bytes, found more; use /v1/predict.")
        try:
            named = list(_paths(json.loads(body)))
        except (ValueError, RecursionError) as error:
            raise Refusal("bad_request", "Expected a body of JSON, found another; correct it.") from error
        if not all(map(self._is_own, named)):
            raise Refusal("invalid_request", "Expected a file that was uploaded to this page, found another path; upload the file.")
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def pass_on() -> Message:
            return waiting.pop() if waiting else await receive()

        return pass_on

    def _may_read(self, path: str) -> bool:
        if path.startswith(FILE):
            return self._is_own(path.removeprefix(FILE))
        return path in READ or path.startswith(READ_BELOW)

    def _is_own(self, path: str) -> bool:
        """Whether a path is in the folder, by its text alone, without a look at the file system."""
        return path.startswith(self.folder) and os.path.normpath(path) == path


def _size(folder: Path) -> int:
    """The bytes of all files below a folder, some of which may vanish meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _paths(value: Any) -> Iterator[str]:
    """The strings in fields `path` of a JSON value, at any depth."""
    if isinstance(value, dict):
        if isinstance(path := value.get("path"), str):
            yield path
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _paths(each)
