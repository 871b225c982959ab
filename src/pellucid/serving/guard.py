"""Middleware for all routes, including the page: checks the token and the size of the body, adds headers, counts responses."""

import base64
import binascii
import hmac
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pellucid.serving.monitoring import ServerMetrics
from pellucid.serving.refusal import Refusal

PREDICT, HEALTH = "/v1/predict", "/healthz"
COUNTED = (PREDICT, "/v1/model", HEALTH, "/metrics", "/docs", "/openapi.json")

# The page may only connect to its own server; Gradio uses inline and compiled scripts.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """Pure ASGI middleware, since Starlette's middleware class takes as much time as a small picture.

    Args:
        app: the wrapped application.
        metrics: counters of responses.
        max_bytes: of a body.
        token: required in every request except for `HEALTH`; `None` for no token.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, max_bytes: int, token: str | None = None) -> None:
        self.app, self.metrics, self.max_bytes = app, metrics, max_bytes
        self.token = None if token is None else token.strip().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _Exchange(self, scope, receive, send).run()
        else:  # web sockets are not used
            await send({"type": "websocket.close", "code": 1008})

    def is_authorized(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request carries the token, compared in constant time."""
        assert self.token is not None
        scheme, _, given = dict(headers).get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"basic":
            try:
                given = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(given.strip(), self.token)


class _Exchange:
    """A request and its response."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self.guard, self.scope, self._receive, self._send = guard, scope, receive, send
        self.num_bytes, self.status = 0, 0
        self.refusal: Refusal | None = None
        self.start = time.perf_counter()

    async def run(self) -> None:
        path = self.scope["path"]
        try:
            if self.guard.token is not None and path != HEALTH and not self.guard.is_authorized(self.scope["headers"]):
                raise Refusal("unauthorized", "Expected the token, as Authorization: Bearer TOKEN, found none or another; add it.")
            await self.guard.app(self.scope, self.receive, self.send)
        except Refusal as refusal:
            if not self.status:
                await self.refuse(refusal)
        finally:
            metrics = self.guard.metrics
            metrics.requests.labels(path if path in COUNTED else "page", self.status or 500).inc()
            if path == PREDICT:
                metrics.seconds.observe(time.perf_counter() - self.start)

    async def receive(self) -> Message:
        message = await self._receive()
        self.num_bytes += len(message.get("body", b""))
        if self.num_bytes > self.guard.max_bytes:
            self.refusal = Refusal(
                "too_many_bytes", f"Expected a body of at most {self.guard.max_bytes:,} bytes, found more; send less at a time."
            )
            raise self.refusal
        return message

    async def send(self, message: Message) -> None:
        if self.refusal is not None:  # ignore the response of the application
            if not self.status:
                await self.refuse(self.refusal)
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        self.status = refusal.status
        body = refusal.body()
        headers: list[Any] = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
        await self._send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
