"""Bodies of requests -> the contents of picture files, in memory only; file names are ignored."""

import asyncio
import base64
import binascii
import json
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from pellucid.serving.refusal import Refusal
from pellucid.serving.settings import Limits

FIELDS = ("image", "images")
"""Fields of a form or of a JSON object that hold pictures."""

LARGE_BODY = 262_144
"""Size in bytes from which JSON is parsed in a thread, so that other requests continue."""


async def read_contents(request: Request, limits: Limits) -> list[bytes]:
    """The picture files of a request, at least one, in order; raises `Refusal`. The guard limits the size of the body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(limits.timeout):
            if kind == "multipart/form-data":
                contents = await _multipart(request, limits)
            elif kind == "application/json":
                body = await request.body()
                contents = _json(body, limits) if len(body) < LARGE_BODY else await asyncio.to_thread(_json, body, limits)
            elif kind.startswith("image/") or kind in ("application/octet-stream", "application/dicom"):
                contents = [await request.body()]
            else:
                content_type = kind[:100] or "no Content-Type"
                message = f"Expected a body of multipart/form-data, application/json or image/..., found {content_type}; set it."
                raise Refusal("unsupported_type", message)
    except TimeoutError:
        raise Refusal(
            "slow_request", f"Expected the body within {limits.timeout:g} seconds, found it unfinished; send it faster."
        ) from None
    except ClientDisconnect:
        raise Refusal("bad_request", "Expected a whole body, found the connection closed.") from None
    if not contents:
        raise Refusal("invalid_request", "Expected a picture in the field 'image', or several in 'images', found none; add one.")
    return contents


async def _multipart(request: Request, limits: Limits) -> list[bytes]:
    parser = MultiPartParser(request.headers, request.stream(), max_files=limits.max_pictures, max_fields=limits.max_pictures)
    parser.spool_max_size = limits.max_bytes + 1  # in memory, never in a temporary file
    try:
        form = await parser.parse()
    except MultiPartException as error:
        code = "too_many_pictures" if "Too many files" in error.message else "bad_request"
        raise Refusal(
            code, f"Expected a form of at most {limits.max_pictures} files, found another ({error.message}); correct it."
        ) from error
    except (KeyError, ValueError, AssertionError) as error:  # an invalid boundary or charset
        raise Refusal(
            "bad_request", "Expected a form with a boundary, as multipart/form-data has it, found another; correct it."
        ) from error
    contents = []
    try:
        for name, value in form.multi_items():
            if name not in FIELDS:
                raise _unknown(name)
            if not isinstance(value, UploadFile):
                raise Refusal("invalid_request", f"Expected files in the form, found text in the field '{name}'; send it with a file name.")
            contents.append(await value.read())
    finally:
        await form.close()
    return contents


def _json(body: bytes, limits: Limits) -> list[bytes]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad_request", "Expected a body of JSON, found another; correct it.") from error
    if not isinstance(value, dict):
        raise Refusal("invalid_request", 'Expected a JSON object such as {"image": "<base64>"}, found another value; correct it.')
    for name in value:
        if name not in FIELDS:
            raise _unknown(name)
    images: Any = value.get("images", [])
    if not isinstance(images, list):
        raise Refusal("invalid_request", "Expected a list in the field 'images', found another value; one picture goes into 'image'.")
    images = ([value["image"]] if "image" in value else []) + images
    if len(images) > limits.max_pictures:
        raise Refusal(
            "too_many_pictures", f"Expected at most {limits.max_pictures} pictures, found {len(images):,}; send several requests."
        )
    return [_base64(text, index) for index, text in enumerate(images)]


def _base64(text: Any, index: int) -> bytes:
    """Decode base64, or a data URL."""
    if not isinstance(text, str):
        raise Refusal("invalid_request", f"Expected text in base64 for picture {index}, found another value; correct it.", index)
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("invalid_base64", f"Expected base64 for picture {index}, found other text ({error}); encode it.", index) from error


def _unknown(name: str) -> Refusal:
    shown = name[:50].encode("ascii", "backslashreplace").decode()
    return Refusal("invalid_request", f"Expected the fields 'image' and 'images' only, found '{shown}'; leave it out.")
