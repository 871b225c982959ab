"""Keep README.zh-CN.md in step with README.md: same headings, blocks of code, figures, code and links, section by section.

    python scripts/sync_readme.py    # copies the blocks of code, keeps their translated comments, and lists other differences

A comment behind a command, and a description in the tree, may be translated; new and changed lines are copied in English.
"""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", flags=re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+(?:[.,]\d+)*")


def commands(block: str, language: str) -> list[str]:
    """The lines of a block without their comments; of the tree, whole paths without their descriptions."""
    if language != "text":
        return [re.sub(r"(^|\s+)# .*$", "", line).rstrip() for line in block.splitlines()]
    paths, folders = list[str](), list[str]()
    for line in block.splitlines():
        folders[(len(line) - len(line.lstrip())) // 2 :] = [(line.split() or [""])[0]]
        paths.append("".join(folders))
    return paths


def sections(text: str) -> list[tuple[str, str]]:
    """Heading and prose of each section, in order, without blocks of code."""
    prose = FENCE.sub("", text)
    starts = [match.start() for match in HEADING.finditer(prose)]
    parts = [prose[start:end] for start, end in zip(starts, [*starts[1:], len(prose)], strict=True)]
    return [(part.splitlines()[0], part) for part in parts]


def things(prose: str) -> dict[str, Counter[str]]:
    """What must be the same in both languages, by kind; the links from one README to the other are left out."""
    links = Counter(link for link in LINK.findall(prose) if not re.fullmatch(r"README(\.zh-CN)?\.md", link))
    text = LINK.sub("]", prose)
    return {"link": links, "code": Counter(CODE.findall(text)), "figure": Counter(NUMBER.findall(CODE.sub("", text)))}


def differences(english: str, chinese: str) -> list[str]:
    """Differences between the two READMEs, a sentence each."""
    messages = []
    ours, theirs = sections(english), sections(chinese)
    marks = [[heading.split()[0] for heading, _ in each] for each in (ours, theirs)]
    if marks[0] != marks[1]:
        titles = [", ".join(heading for heading, _ in each) for each in (ours, theirs)]
        return [f"Headings: README.md has {titles[0]}; README.zh-CN.md has {titles[1]}. Add or remove a section."]
    for (heading, prose), (title, translated) in zip(ours, theirs, strict=True):
        mine, its = things(prose), things(translated)
        for kind in mine:
            lacking, surplus = mine[kind] - its[kind], its[kind] - mine[kind]
            messages += [f"'{title}' lacks the {kind} {each!r} of '{heading}': copy it." for each in lacking.elements()]
            messages += [f"'{title}' has the {kind} {each!r}, which '{heading}' has not: remove it." for each in surplus.elements()]
    blocks, copies = FENCE.findall(english), FENCE.findall(chinese)
    if [language for language, _ in blocks] != [language for language, _ in copies]:
        messages.append(
            f"README.md has {len(blocks)} blocks of code, README.zh-CN.md {len(copies)}, or of other languages: copy what is new."
        )
        return messages
    for (language, block), (_, copy) in zip(blocks, copies, strict=True):
        lines, others = (commands(each, language) for each in (block, copy))
        if lines != others:
            line = next((line for line in lines if line not in others), None) or "the order of the lines"
            messages.append(f"A block of code differs at {line!r}: run python scripts/sync_readme.py, and translate its comment.")
    return messages


def sync(english: str, chinese: str) -> str:
    """The Chinese README with the blocks of the English one; lines that it has already keep their comments."""
    blocks = iter(FENCE.findall(english))

    def copy(match: re.Match[str]) -> str:
        language, block = next(blocks, (match[1], match[2]))
        translated: dict[str, list[str]] = {}
        for line, key in zip(match[2].splitlines(), commands(match[2], language), strict=True):
            translated.setdefault(key, []).append(line)
        pairs = zip(block.splitlines(), commands(block, language), strict=True)
        lines = [(translated.get(key) or [line]).pop(0) for line, key in pairs]
        return "\n".join([f"```{language}", *lines, "```"])

    if [language for language, _ in FENCE.findall(english)] != [language for language, _ in FENCE.findall(chinese)]:
        return chinese  # which block is whose is not known
    return FENCE.sub(copy, chinese)


if __name__ == "__main__":
    synced = sync(ENGLISH.read_text(), CHINESE.read_text())
    CHINESE.write_text(synced)
    print("\n".join(differences(ENGLISH.read_text(), synced)) or "README.zh-CN.md is in step.")
