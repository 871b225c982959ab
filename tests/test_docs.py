"""The documentation site: its pages are the repository's, its links lead to pages, its reference is the public front."""

import importlib
import importlib.util
import inspect
import json
import re
import shutil
from pathlib import Path

import pytest

import pellucid

ROOT = Path(__file__).parents[1]
specification = importlib.util.spec_from_file_location("build_docs", ROOT / "scripts" / "build_docs.py")
build_docs = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build_docs)

LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(path: Path) -> str:
    """Without code, where brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", build_docs.FENCE.sub("", path.read_text()))


def anchors(path: Path) -> set[str]:
    return {build_docs.slug(heading) for heading in re.findall(r"^#+ (.+)$", build_docs.FENCE.sub("", path.read_text()), re.MULTILINE)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "pages"
    build_docs.build(ROOT, out)
    return out


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small one."""
    root = tmp_path / "repository"
    for folder in ("docs/domains", "results"):
        (root / folder).mkdir(parents=True)
    (root / "README.md").write_text(
        "# P\n\n[results](results/README.md)\n\n## Start\n\nHow.\n\n## Export\n\nSee [start](#start), [code](LICENSE).\n"
    )
    (root / "LICENSE").write_text("free")
    (root / "results" / "README.md").write_text("# Results\n\n[export](../README.md#export)\n")
    (root / "docs" / "domains" / "art.md").write_text(
        "# Art\n\n[results](../../results/README.md#results)\n\n```sh\n# [no](link.md)\n```\n"
    )
    return root


FILES = [*ROOT.glob("*.md")] + [path for folder in ("docs", "results") for path in (ROOT / folder).rglob("*.md")]


@pytest.mark.parametrize("domain", ["medical", "driving", "surveillance", "art"])
def test_pages_of_domains_are_short_and_have_commands_a_picture_and_limits(domain: str) -> None:
    page = (ROOT / "docs" / "domains" / f"{domain}.md").read_text()
    assert len(page.splitlines()) <= 60
    assert "\npellucid " in page
    assert f"]({domain}.png)" in page
    assert "\n## Limitations\n" in page


@pytest.mark.parametrize("name", ["reference", "joint-wider", "low-label"])
def test_the_page_on_joint_learning_has_the_figures_of_the_comparisons(name: str) -> None:
    page = (ROOT / "docs" / "does-joint-help.md").read_text()
    arms = json.loads((ROOT / "results" / f"{name}-base-cpu" / "comparison.json").read_text())["arms"]
    for arm, tracks in arms.items():
        scores = next(value for name, value in tracks.items() if name != "cost")
        for metric in {"accuracy", "psnr"} & scores.keys():
            low, high = scores[metric]["ci95"]
            assert f"{scores[metric]['mean']:.2f} ± {(high - low) / 2:.2f}" in page, (arm, metric)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_the_repository_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(path)):
        if re.match(r"https?:|mailto:", link):
            continue
        target, _, anchor = link.partition("#")
        linked = path.parent / target if target else path
        assert linked.exists(), link
        assert not anchor or anchor in anchors(linked), link


def test_every_link_of_the_site_leads_somewhere(pages: Path) -> None:
    for page in pages.rglob("*.md"):
        for link in LINK.findall(prose(page)):
            assert re.match(r"https?:|mailto:", link) or (page.parent / link.partition("#")[0]).is_file(), f"{page.name}: {link}"


def test_nothing_of_the_readme_is_lost(pages: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    site = "".join(path.read_text() for path in pages.rglob("*.md"))
    for block in build_docs.FENCE.findall(readme):
        assert block in site
    assert all(heading in site for heading in re.findall(r"^## (.+)$", build_docs.FENCE.sub("", readme), re.MULTILINE))


def test_every_page_has_one_title(pages: Path) -> None:
    for page in pages.rglob("*.md"):
        assert len(re.findall(r"^# ", build_docs.FENCE.sub("", page.read_text()), re.MULTILINE)) == 1, page.name


def test_new_files_and_sections_become_pages(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages"
    build_docs.build(repository, out)
    assert "[results](../results/index.md#results)" in (out / "domains" / "art.md").read_text()
    assert "# [no](link.md)" in (out / "domains" / "art.md").read_text()
    assert (out / "export.md").read_text() == "# Export\n\nSee [start](index.md#start), [code](files/LICENSE).\n"
    assert (out / "results" / "index.md").read_text() == "# Results\n\n[export](../export.md#export)\n"
    assert (out / "files" / "LICENSE").read_text() == "free"


def test_a_broken_link_ends_the_build(repository: Path, tmp_path: Path) -> None:
    (repository / "docs" / "domains" / "art.md").write_text("# Art\n\n[gone](../gone.md)\n")
    with pytest.raises(SystemExit, match=r"docs/domains/art.md, found none at \.\./gone.md"):
        build_docs.build(repository, tmp_path / "pages")


def test_what_is_old_is_removed(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages"
    build_docs.build(repository, out)
    shutil.rmtree(repository / "docs" / "domains")
    build_docs.build(repository, out)
    assert not (out / "domains").exists()


MODULES = [*build_docs.API, *(part for parts in build_docs.PARTS.values() for part in parts)]


def public(module: str) -> dict[str, object]:
    """The functions and classes that the reference shows of a module: those of `__all__`, or its own without an underscore."""
    imported = importlib.import_module(module)
    names = getattr(imported, "__all__", None) or [
        name for name, value in vars(imported).items() if not name.startswith("_") and getattr(value, "__module__", "") == module
    ]
    return {name: getattr(imported, name) for name in names if callable(getattr(imported, name))}


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_has_docstrings(module: str) -> None:
    assert importlib.import_module(module).__doc__
    for name, value in public(module).items():
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue  # an alias of a type
        assert value.__doc__, name
        if inspect.isclass(value):
            for method, function in vars(value).items():
                assert method.startswith("_") or not inspect.isfunction(function) or inspect.getdoc(getattr(value, method)), (
                    f"{name}.{method}"
                )


def arguments(text: str | None) -> list[str]:
    """The names in the section `Args` of a docstring, which has a line of its indentation for each."""
    (_, _, section) = inspect.cleandoc(text or "").partition("Args:\n")
    lines = section.partition("\n\n")[0].splitlines()
    return [line.partition(":")[0].strip() for line in lines if line.startswith("    ") and not line.startswith("     ")]


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_describes_arguments_that_exist(module: str) -> None:
    for name, value in public(module).items():
        methods = [each for each in vars(value).values() if inspect.isfunction(each)] if inspect.isclass(value) else []
        for each in [value, *methods]:
            for argument in arguments(each.__doc__):
                assert argument in inspect.signature(each).parameters, f"{name}: {argument}"


def test_the_reference_has_the_public_front() -> None:
    """What `pellucid` names is described where it is defined, too."""
    for name in pellucid.__all__:
        home = getattr(getattr(pellucid, name), "__module__", None)
        assert not inspect.isfunction(getattr(pellucid, name)) or any(home and home.startswith(module) for module in MODULES), name
