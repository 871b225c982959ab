"""The Chinese README has the commands, figures, code and links of the English one; differences are listed in a form that can be copied."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
specification = importlib.util.spec_from_file_location("sync_readme", ROOT / "scripts" / "sync_readme.py")
sync_readme = importlib.util.module_from_spec(specification)
specification.loader.exec_module(sync_readme)
ENGLISH, CHINESE = (ROOT / "README.md").read_text(), (ROOT / "README.zh-CN.md").read_text()


def test_it_is_in_step() -> None:
    actual = sync_readme.differences(ENGLISH, CHINESE)
    assert not actual, "\n".join(["README.zh-CN.md is not in step with README.md:", *actual])


def test_each_leads_to_the_other() -> None:
    assert "](README.zh-CN.md)" in ENGLISH
    assert "](README.md)" in CHINESE


def test_it_is_in_chinese() -> None:
    assert len(re.findall("[\u4e00-\u9fff]", CHINESE)) > 2000


CHANGES = {
    "a figure of a table": (lambda text: re.sub(r"\| \d\d\.\d\d \|", "| 99.99 |", text, count=1), "lacks the figure '99.99'"),
    "a figure in a sentence": (lambda text: text.replace("takes 5.6 MB", "takes 7.2 MB"), "lacks the figure '7.2'"),
    "a command in a sentence": (lambda text: text.replace("`make evidence`", "`make proof`"), "lacks the code 'make proof'"),
    "a link": (lambda text: text.replace("](docs/data.md)", "](docs/photos.md)"), "lacks the link 'docs/photos.md'"),
    "a command": (
        lambda text: text.replace("pellucid compare low-label", "pellucid compare few-label"),
        "run python scripts/sync_readme.py",
    ),
    "a module": (lambda text: text.replace("  bench.py  ", "  speed.py  "), "speed.py"),
    "a section": (lambda text: text + "\n## Export\n", "README.md has .*## Export"),
    "a block of code": (lambda text: text + "\n```sh\nls\n```\n", "blocks of code"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_what_differs_is_said(change, words: str) -> None:
    changed = change(ENGLISH)
    assert changed != ENGLISH
    assert re.search(words, "\n".join(sync_readme.differences(changed, CHINESE)))


def test_new_lines_come_over_and_translated_comments_stay() -> None:
    line = "pellucid damage examples/ship.png --suite art"
    changed = ENGLISH.replace(line, f"pellucid export bundled  # one file\n{line}").replace(
        "  bench.py   ", "  new/\n    config.py   settings\n  bench.py   "
    )
    synced = sync_readme.sync(changed, CHINESE)
    assert not sync_readme.differences(changed, synced)
    assert "pellucid export bundled  # one file\n" in synced
    kept = set(CHINESE.splitlines()) - set(synced.splitlines())
    assert not {each for each in kept if "bench.py" not in each}
    assert sync_readme.sync(ENGLISH, CHINESE) == CHINESE
