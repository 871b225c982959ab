"""Predictions are valid by their schema, and the schema refuses others."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from pellucid.inference import EstimatedDamage, Prediction
from pellucid.inference.lines import error_line, prediction_fields
from pellucid.inference.schema import ERRORS, VERSION, error, schema

ROOT = Path(__file__).parents[1]
VALIDATOR = jsonschema.Draft202012Validator(schema())

WHOLE = Prediction(
    "cat",
    0.75,
    {"cat": 0.75, "dog": 0.25},
    np.zeros((2, 3, 3), np.uint8),
    {"jpeg": EstimatedDamage(probability=0.5, strength=40.0, unit="quality")},
    np.zeros((2, 3), np.bool_),
)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["properties"]["schema"] == {"const": VERSION}


@pytest.mark.parametrize("prediction", [WHOLE, Prediction(None, None, None, None), Prediction("cat", 1.0, {"cat": 1.0}, None)])
def test_predictions_are_valid(prediction: Prediction) -> None:
    line = prediction_fields(prediction)
    VALIDATOR.validate(line)
    VALIDATOR.validate(
        {"path": "x.png", **line, "restored": "restored/x.png", "mask": None, "notes": ["alpha"], "model": "m", "mirror": False}
    )
    VALIDATOR.validate({"path": "x.mp4", "frame": 0, **line})


@pytest.mark.parametrize("code", ERRORS)
def test_errors_are_valid(code: str) -> None:
    VALIDATOR.validate(error_line(Path("x.png"), code, "Expected a picture, found none; copy it again."))


def test_an_unknown_code_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        error("whatever", "A sentence.")


LINE = prediction_fields(WHOLE)


@pytest.mark.parametrize(
    "line",
    [
        {name: value for name, value in LINE.items() if name != "schema"},
        {name: value for name, value in LINE.items() if name != "label"},
        LINE | {"schema": 2},
        LINE | {"confidence": 1.5},
        LINE | {"probabilities": {"cat": "much"}},
        LINE | {"error": {"code": "unreadable", "message": "Both."}},
        {"schema": 1, "error": "a sentence without a code"},
        {"schema": 1, "error": {"code": "unreadable", "message": ""}},
        {"schema": 1, "frames": 0, "fps": 25, "restored": None, "notes": []},
    ],
)
def test_others_are_not(line: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(line)


def test_the_command_of_the_docs_installs_the_extra_runtime() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (command,) = [line for line in (ROOT / "docs" / "export.md").read_text().splitlines() if line.startswith("pip install onnxruntime")]
    assert [each.partition(">=")[0] for each in extras["runtime"]] == [each.strip("'") for each in command.split()[2:]]
