"""Documentation of the API: additions to FastAPI's OpenAPI document, and `/docs`, a page without scripts.

FastAPI's own `/docs` loads scripts from another host, which requires a network and is forbidden by the guard.
"""

import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pellucid.inference.schema import VERSION, schema
from pellucid.serving.refusal import CODES

_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"

EXAMPLE: dict[str, Any] = {
    "predictions": [
        {
            "schema": VERSION,
            "label": "ship",
            "confidence": 0.978241,
            "probabilities": {"airplane": 0.021759, "ship": 0.978241},
            "damage": {"gaussian_noise": {"probability": 0.998, "strength": 0.051, "unit": "sigma on the [0, 1] scale"}},
            "lost": 0.0625,
            "left": False,
            "restored": f"data:image/png;base64,{_PNG}",
            "mask": f"data:image/png;base64,{_PNG}",
            "notes": [],
            "model": "bundled",
            "mirror": False,
        }
    ]
}

_ERROR = {
    "type": "object",
    "required": ["schema", "error"],
    "properties": {
        "schema": {"const": VERSION, "description": "the version of this form"},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "enum": list(CODES)},
                "message": {"type": "string", "description": "what was expected, what was found, what to do"},
                "index": {"type": "integer", "description": "of the picture that it is about, from 0"},
            },
        },
    },
}

_file = {"type": "string", "format": "binary"}
REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"image": _file, "images": {"type": "array", "items": _file}}}
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"image": {"type": "string"}, "images": {"type": "array", "items": {"type": "string"}}},
                },
                "example": {"image": _PNG},
            },
            "image/png": {"schema": _file},
        },
    }
}
"""The request body of `/v1/predict`."""


@cache
def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, by status."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, meaning = CODES[code]
        response = by_status.setdefault(status, {"description": "", "content": {"application/json": {"schema": _ERROR, "examples": {}}}})
        response["description"] += f"{'; ' if response['description'] else ''}`{code}`: {meaning}"
        response["content"]["application/json"]["examples"][code] = {
            "value": {"schema": VERSION, "error": {"code": code, "message": "Expected ..., found ...; ..."}}
        }
    return by_status


RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "a prediction for each picture, in their order",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"predictions": {"type": "array", "items": schema()}}},
                "example": EXAMPLE,
            }
        },
    }
}


def render_docs(document: dict[str, Any]) -> str:
    """Render an OpenAPI document as a page."""
    environment = Environment(loader=PackageLoader("pellucid.serving"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("docs.html").render(document=document)
