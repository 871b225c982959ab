"""The web application: routes of the API and error handlers."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from pellucid.serving import documentation, signals
from pellucid.serving.bodies import read_contents
from pellucid.serving.documentation import REQUEST, RESPONSE, responses
from pellucid.serving.guard import Guard
from pellucid.serving.refusal import CODES, Refusal
from pellucid.serving.service import Service

ABOUT = "Restores and classifies damaged images."
BY_STATUS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}


def build_app(service: Service, token: str | None = None, page: bool = False) -> ASGIApp:
    """Build the application for a service, which it starts and closes.

    token: required in every request except for `/healthz`; page: serve the page at `/`.
    """
    on_signal: list[Callable[[], None]] = []
    at_end: list[Callable[[], None]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        with signals.watched(on_signal):
            yield
        await service.close()
        for callback in at_end:
            callback()

    app = FastAPI(title="Pellucid", version=version("pellucid"), description=ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan)
    add_routes(app, service)
    add_errors(app)
    if page:
        from pellucid.serving.page import mount_page

        stop, delete = mount_page(app, service)
        on_signal.append(stop)
        at_end.append(delete)
    return Guard(app, service.metrics, service.limits.max_bytes, token)


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the routes of the API."""
    description: dict[str, Any] = {}

    @app.post(
        "/v1/predict",
        responses={**RESPONSE, **responses(*(code for code in CODES if code not in ("not_found", "method_not_allowed")))},
        openapi_extra=REQUEST,
    )
    async def predict(
        request: Request,
        restored: Annotated[bool, Query(description="the restored picture, as PNG in a data URL")] = False,
        mask: Annotated[bool, Query(description="the mask of lost pixels, as PNG in a data URL")] = False,
    ) -> Response:
        """Restore and classify pictures. One invalid picture refuses the whole request."""
        with service.admit() as admission:
            contents = await read_contents(request, service.limits)
            content = await service.predict_contents(contents, admission, restored, mask)
        return Response(content, media_type="application/json")

    @app.get("/v1/model", responses=responses("unauthorized"))
    async def model() -> dict[str, Any]:
        """The model: its classes, the kinds of damage that it knows, and the limits of this server."""
        if not description:
            description.update(await service.run(service.describe))
        return description

    @app.get("/healthz", responses=responses("stopping"))
    async def healthz() -> dict[str, str]:
        """Whether predictions are taken; needs no token."""
        if not service.batcher.running:
            raise Refusal("stopping", "Expected a running server, found it being stopped.")
        return {"status": "ok"}

    @app.get("/metrics", responses=responses("unauthorized"))
    async def metrics() -> Response:
        """Requests by status, seconds, sizes of batches and requests in flight, for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(documentation.render_docs(app.openapi()))


def add_errors(app: FastAPI) -> None:
    """Add handlers that return all errors in the same form."""

    def respond(refusal: Refusal, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
        return Response(refusal.body(), status or refusal.status, headers or refusal.headers, "application/json")

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return respond(refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        names = ", ".join(sorted({str(each["loc"][-1])[:50] for each in error.errors()}))
        return respond(Refusal("invalid_request", f"Expected true or false for {names}, found another value; see /docs."))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        code = BY_STATUS.get(error.status_code, "bad_request")
        message = f"Expected one of the addresses of /docs with a method that it knows, found {request.method} for another; see /docs."
        return respond(Refusal(code, message), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def defect(_: Request, _error: Exception) -> Response:
        return respond(Refusal("internal", "Expected to answer, found a defect of the server; its log has more."))
