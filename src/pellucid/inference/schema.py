"""The JSON form of a prediction: one versioned schema for `predictions.jsonl`, the API and the browser."""

import json
from importlib.resources import files
from typing import Any

VERSION = 1
"""The version that every object states as `schema`, incremented on incompatible changes."""

ERRORS = {
    "unreadable": "the input is no picture or video that can be decoded",
    "out_of_memory": "the picture is too large for the memory",
    "not_finite": "the model's output is not finite",
    "unwritable": "the result can't be written",
}
"""Errors of one picture, by code."""


def error(code: str, message: str) -> dict[str, Any]:
    """The fields of a failed prediction; code: a key of `ERRORS`; message: a sentence."""
    assert code in ERRORS, code
    return {"schema": VERSION, "error": {"code": code, "message": message}}


def schema() -> dict[str, Any]:
    """The schema itself, JSON Schema 2020-12."""
    parsed: dict[str, Any] = json.loads(files("pellucid.inference").joinpath(f"prediction-{VERSION}.json").read_text(encoding="utf-8"))
    return parsed
