"""The contact sheet: pictures beside their restored versions, with the predictions, on one page."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pellucid.degradations import DEGRADATIONS
from pellucid.pictures.display import fit

MAX_CELLS = 24
"""Maximum number of pictures."""

COLUMNS = 4
SIDE = 192  # pixels of the square that each picture is fitted into: six times a CIFAR image
GAP, MARGIN = 8, 32
INK, PALE, EDGE = "#1b1f24", "#68707a", "#dfe3e8"


class Cell(NamedTuple):
    """A picture on the sheet, at its final size, so that large ones are not kept in memory."""

    name: str
    caption: str
    damage: str
    images: tuple[Image.Image, ...]


def build_cell(name: str, caption: str, damaged: str, images: Iterable[NDArray[np.uint8]]) -> Cell:
    """The cell of the picture `name`, (H, W, 3) uint8, and of its restored version, if there is one."""
    return Cell(name, caption, damaged, tuple(Image.fromarray(fit(image, SIDE)) for image in images))


def damage_words(damage: Mapping[str, Mapping[str, Any]] | None, lost: float | None) -> str:
    """The estimated damage as text, such as `gaussian noise 0.05, 6 % lost`; empty without a damage head.

    damage: probability and strength by kind; lost: fraction of lost pixels.
    """
    if damage is None or lost is None:
        return ""
    likely = {kind: each["strength"] for kind, each in damage.items() if each["probability"] > 0.5}
    parts = [  # lost pixels are stated by the mask
        f"{kind.replace('_', ' ')} {float(f'{strength:.2g}'):g}" for kind, strength in likely.items() if DEGRADATIONS[kind].mask is None
    ]
    share = round(100 * lost)
    return ", ".join([*parts, *([f"{share} % lost"] if share else [])]) or "no damage found"


def draw_sheet(cells: Sequence[Cell], heading: str) -> NDArray[np.uint8]:
    """Draw the sheet, (H, W, 3) uint8: rows of cells below the heading."""
    width, line = 2 * SIDE + GAP, 22
    columns = min(COLUMNS, max(1, len(cells)))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [
        max(image.height for cell in row for image in cell.images) + GAP + (3 if any(cell.damage for cell in row) else 2) * line
        for row in rows
    ]
    top = 2 * MARGIN + 3 * line
    page = Image.new("RGB", (MARGIN + columns * (width + MARGIN), top + sum(height + MARGIN for height in heights)), "white")
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), "Pellucid", INK, font("Bold", 24))
    pen.text((MARGIN, MARGIN + 1.5 * line), shorten(heading, width, font("", 15)), PALE, font("", 15))
    for row, height in zip(rows, heights, strict=True):
        for column, (name, caption, damaged, images) in enumerate(row):
            left = MARGIN + column * (width + MARGIN)
            below = top + images[0].height + GAP
            for index, image in enumerate(images):
                corner = left + index * (SIDE + GAP)
                if row is rows[0]:
                    pen.text((corner, top - line), ("as given", "restored")[index], PALE, font("", 13))
                page.paste(image, (corner, top))
                pen.rectangle((corner - 1, top - 1, corner + image.width, top + image.height), outline=EDGE)  # some pictures are white
            pen.text((left, below), shorten(name, width, font("", 15)), PALE, font("", 15))
            pen.text((left, below + line), shorten(caption, width, font("Bold", 15)), INK, font("Bold", 15))
            pen.text((left, below + 2 * line), shorten(damaged, width, font("", 13)), PALE, font("", 13))
        top += height + MARGIN
    return np.asarray(page)


def shorten(text: str, width: float, face: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """`text` without its middle if it is wider than `width` pixels; file names differ at their ends."""
    text = short = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    kept = len(text)
    while face.getlength(short) > width:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short


@cache
def font(weight: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans from matplotlib, which has more than the Latin letters; Pillow's font without matplotlib."""
    package = find_spec("matplotlib")  # not imported: only its font files are used
    name = f"DejaVuSans-{weight}.ttf" if weight else "DejaVuSans.ttf"
    path = Path(package.origin or "").parent / "mpl-data" / "fonts" / "ttf" / name if package else Path()
    return ImageFont.truetype(path, size) if path.is_file() else ImageFont.load_default(size)
