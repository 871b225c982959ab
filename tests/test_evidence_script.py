"""`scripts/evidence.py`: its calls of `pellucid compare`."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pellucid.cli import parse

specification = importlib.util.spec_from_file_location("evidence_script", Path(__file__).parents[1] / "scripts" / "evidence.py")
evidence = importlib.util.module_from_spec(specification)
specification.loader.exec_module(evidence)


@pytest.mark.parametrize("options", [[], ["--report-only"]])
def test_its_calls_parse_and_resume(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(evidence.subprocess, "run", lambda command, **_: calls.append(command[1:]) or SimpleNamespace(returncode=0))
    monkeypatch.setattr(sys, "argv", ["evidence.py", *options])
    evidence.main()
    assert len(calls) >= (1 if options else len(evidence.QUEUE))
    for call in calls:
        command, values = parse(call)
        assert command == "compare"
        assert values["resume"] != values["report_only"]
        assert values["report_only"] or not options
