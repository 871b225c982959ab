"""Error responses: an HTTP status, a code for programs and a sentence for people."""

import json
from collections.abc import Mapping
from typing import Any

from pellucid.inference.schema import VERSION

CODES: dict[str, tuple[int, str]] = {
    "bad_request":          (400, "the body can't be read as what its Content-Type says"),
    "unauthorized":         (401, "the token is missing or wrong"),
    "not_found":            (404, "there is no such address"),
    "method_not_allowed":   (405, "the address knows other methods only"),
    "slow_request":         (408, "the body did not arrive in time"),
    "too_many_bytes":       (413, "the body is too large"),
    "too_many_pixels":      (413, "a picture is too large, or all of a request together"),
    "too_many_pictures":    (413, "the request has too many pictures"),
    "unsupported_type":     (415, "the Content-Type is none that is known"),
    "invalid_request":      (422, "a parameter or a field is missing, unknown or of the wrong type"),
    "invalid_base64":       (422, "a picture is not in base64"),
    "not_a_picture":        (422, "a file is none that can be read as a picture, or is damaged"),
    "too_many_requests":    (429, "as many requests as the server takes are in flight: try again after Retry-After seconds"),
    "internal":             (500, "a defect of the server"),
    "not_finite":           (500, "the model's output is not finite"),
    "stopping":             (503, "the server is being stopped"),
    "timeout":              (504, "the answer was not ready in time"),
}  # fmt: skip
"""Error codes: HTTP status and meaning."""


class Refusal(Exception):  # noqa: N818 - most of them are the client's
    """Ends a request with an error. code: a key of `CODES`; index: of the picture concerned, from 0."""

    def __init__(self, code: str, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.index = code, message, index

    @property
    def status(self) -> int:
        """The HTTP status."""
        return CODES[self.code][0]

    @property
    def headers(self) -> Mapping[str, str]:
        """Further HTTP headers."""
        match self.code:
            case "too_many_requests" | "stopping":
                return {"Retry-After": "1"}
            case "unauthorized":
                return {"WWW-Authenticate": 'Basic realm="Pellucid: any name, the token as password", charset="UTF-8"'}
        return {}

    def body(self) -> bytes:
        """`{"schema": 1, "error": {"code": ..., "message": ...}}`, with the index of the picture concerned, if any."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.index is not None:
            error["index"] = self.index
        return json.dumps({"schema": VERSION, "error": error}).encode()
