"""The README matches the repository: its tree is complete, its commands parse, its Python runs."""

import json
import re
import shlex
from pathlib import Path

import pytest

from pellucid.cli import parse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def tree_of_readme() -> set[str]:
    """The files of the tree, by their paths; a folder stands alone or before its files' names, which are indented below it."""
    (tree,) = [block for block in blocks("text") if block.startswith("src/pellucid/")]
    paths, folders = set(), []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders[depth:] = [name]
        if not name.endswith("/"):
            paths.add("".join(folders))
    return paths


def test_the_tree_is_what_is_on_disk() -> None:
    package = ROOT / "src" / "pellucid"
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert tree_of_readme() == {str(path.relative_to(ROOT)) for path in files}


def test_the_figures_are_those_of_the_bundled_model() -> None:
    for name, figures in json.loads((ROOT / "results" / "bundled.json").read_text())["tracks"].items():
        before = "100" if name == "clean" else f"{figures['input_psnr']:.2f}"
        row = f"| {figures['accuracy']:.2f} | {before} → {figures['psnr']:.2f} | `pellucid evaluate bundled --track {name}` |"
        assert row in README


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines if re.match(r"(\S*/)?pellucid ", line)]


@pytest.mark.parametrize("command", commands())
def test_every_command_parses(command: str) -> None:
    arguments = shlex.split(command)[1:]
    assert parse(arguments)[0] == arguments[0]


def test_there_are_commands() -> None:
    assert len(commands()) >= 5


@pytest.mark.parametrize("target", re.findall(r"`make (\w+)`", README))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("python")
    monkeypatch.chdir(ROOT)
    scope: dict[str, object] = {}
    for name in ("restored.png", "pets"):
        code = code.replace(f'"{name}"', repr(str(tmp_path / name)))
    exec(code, scope)
    assert (tmp_path / "restored.png").is_file()
    assert (tmp_path / "pets").is_dir()
