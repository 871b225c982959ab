"""Collects the pages of the documentation site from the repository: README by section, docs/, results/, model card, API reference.

    python scripts/build_docs.py && zensical build --strict

Each page has one source in the repository; its links are converted to pages of the site. New files in docs/ or results/ and new sections of
the README become pages without changes here; `NAV` only orders the known ones.
"""

import os
import posixpath
import re
import shutil
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"

HOME = ("", "Start", "Your own pictures", "Python")
"""Sections of the README on the first page; the empty name is its beginning."""

SECTIONS = {"What is inside": "inside.md", "Licence": "inside.md", "Does joint learning help?": "compare.md"}
"""Pages of other sections whose names differ from the heading."""

SINGLE = {
    "README.zh-CN.md": "zh-CN.md",
    "CHANGELOG.md": "changelog.md",
    "src/pellucid/bundled/README.md": "bundled-model.md",
    "results/README.md": "results/index.md",
}
"""Further files of the repository that become pages."""

API = {
    "pellucid": "The public front",
    "pellucid.pictures": "Picture files",
    "pellucid.inference": "Prediction",
    "pellucid.hub": "Folders and the hub",
    "pellucid.checkpoint": "Saved models",
    "pellucid.batch": "Batches and outputs",
    "pellucid.data": "Data",
    "pellucid.degradations": "Damage",
    "pellucid.models": "Networks",
    "pellucid.objectives": "Losses",
    "pellucid.metrics": "Figures",
    "pellucid.recipe": "Recipes",
    "pellucid.training": "Training",
    "pellucid.run": "From a recipe to a model",
    "pellucid.evaluation": "Evaluation",
    "pellucid.experiments": "Comparisons",
    "pellucid.export": "Export to other engines",
    "pellucid.serving": "The server",
    "pellucid.errors": "Errors",
}
"""Modules of the API reference; packages show the names in `__all__`."""

PARTS = {
    "pellucid.evaluation": ("pellucid.evaluation.evaluate",),
    "pellucid.degradations": ("pellucid.degradations.degradation",),
    "pellucid.experiments": ("pellucid.experiments.comparison", "pellucid.experiments.statistics"),
    "pellucid.serving": ("pellucid.serving.settings", "pellucid.serving.serve", "pellucid.serving.app", "pellucid.serving.service"),
}
"""Further modules on the page of their package."""

NAV = """\
nav:
  - Quick start: index.md
  - Guides:
      - commands.md
      - data.md
      - predict.md
      - compare.md
      - glob: "*.md"
        ignore_no_matches: true
  - Domains:
      - glob: "domains/*"
        ignore_no_matches: true
  - Figures:
      - figures.md
      - bundled-model.md
      - protocol.md
      - Results: results
  - Inside:
      - inside.md
      - extending.md
      - beware.md
  - API: api
  - changelog.md
  - 中文: zh-CN.md
"""

FENCE = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def sections(text: str) -> dict[str, str]:
    """The sections of a Markdown text by the headings of their second level, each with its heading; the text before the first by ``""``."""
    outside = FENCE.sub(lambda match: " " * len(match[0]), text)  # a comment in a block of code is no heading
    starts = [0, *(match.start() for match in re.finditer(r"^## ", outside, flags=re.MULTILINE)), len(text)]
    parts = [text[start:end] for start, end in pairwise(starts)]
    return {part.splitlines()[0].removeprefix("## ") if part.startswith("## ") else "": part for part in parts}


def slug(heading: str) -> str:
    """The anchor of a heading, as Python-Markdown and GitHub make it."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())


def readme_pages(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The README as pages: their texts by name, and the page of each section's anchor."""
    pages, anchors = dict[str, str](), dict[str, str]()
    for heading, part in sections(text).items():
        page = "index.md" if heading in HOME else SECTIONS.get(heading, f"{slug(heading)}.md")
        if page not in pages and page != "index.md":
            part = part.removeprefix("#")  # the page's title
        pages[page] = pages.get(page, "") + part
        anchors[slug(heading)] = page
    return pages, anchors


def collect(root: Path) -> dict[str, str]:
    """Path of each Markdown file in the repository, but for the README -> path of its page."""
    paths = {path.relative_to(root).as_posix() for folder in ("docs", "results") for path in (root / folder).rglob("*.md")}
    return {
        **{path: path.removeprefix("docs/") for path in sorted(paths)},
        **{path: page for path, page in SINGLE.items() if (root / path).exists()},
    }


def turn(text: str, source: str, page: str, pages: dict[str, str], anchors: dict[str, str], root: Path, out: Path) -> str:
    """`text` of the file `source` with its links as they are from `page`; files that are no pages are copied beside the pages."""

    def target(match: re.Match[str]) -> str:
        path, hash_mark, anchor = match[2].partition("#")
        if "://" in path or path.startswith("mailto:"):
            return match[0]
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(source), path)) if path else source
        if linked == "README.md":
            to = anchors.get(anchor, "index.md")
            # A page's first section is its title, and has that anchor, too.
        elif linked in pages:
            to = pages[linked]
        elif (root / linked).is_file():
            to = f"files/{linked}"
            (out / to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / linked, out / to)
        else:
            raise SystemExit(f"Expected files behind all links of {source}, found none at {match[2]}; mend the link.")
        return f"{match[1]}{posixpath.relpath(to, posixpath.dirname(page) or '.')}{hash_mark}{anchor}{match[3]}"

    pieces, end = [], 0
    for fence in FENCE.finditer(text):  # blocks of code stay as they are
        pieces += [LINK.sub(target, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, LINK.sub(target, text[end:])])


def api_pages() -> dict[str, str]:
    """The pages of the API reference, and a list of them."""
    rows = "\n".join(f"| [`{module}`]({module}.md) | {title} |" for module, title in API.items())
    text = "Out of the docstrings. Import names from the modules below; what they don't name may change."
    index = f"# API\n\n{text}\n\n| module | what |\n| --- | --- |\n{rows}\n"
    pages = {"api/index.md": index}
    for module, title in API.items():
        parts = "".join(f"\n::: {part}\n    options:\n      show_root_heading: true\n" for part in PARTS.get(module, ()))
        pages[f"api/{module}.md"] = f"---\ntitle: {module}\n---\n# {title}: `{module}`\n\n::: {module}\n{parts}"
    return pages


def build(root: Path = ROOT, out: Path = PAGES) -> None:
    """Write all pages into the folder `out`, which is emptied first."""
    shutil.rmtree(out, ignore_errors=True)
    pages = collect(root)
    readme, anchors = readme_pages((root / "README.md").read_text())
    texts = {page: ("README.md", text) for page, text in readme.items()}
    texts |= {page: (path, re.sub(r"\A---\n.*?\n---\n", "", (root / path).read_text(), flags=re.DOTALL)) for path, page in pages.items()}
    texts |= {page: ("", text) for page, text in api_pages().items()}
    for page, (source, text) in texts.items():
        (out / page).parent.mkdir(parents=True, exist_ok=True)
        (out / page).write_text(turn(text, source, page, pages, anchors, root, out) if source else text)
    (out / ".nav.yml").write_text(NAV)


if __name__ == "__main__":
    build()
    print(f"{sum(1 for _ in PAGES.rglob('*.md'))} pages in {os.path.relpath(PAGES)}")
