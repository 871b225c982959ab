"""`pellucid damage`: applies a suite to pictures, and draws them as a grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pellucid import pictures
from pellucid.batch import Damage, from_pixels, to_pixels
from pellucid.degradations import CORRUPTIONS, DEGRADATIONS, SUITES
from pellucid.errors import UserError
from pellucid.inference.sheet import EDGE, GAP, INK, MARGIN, PALE, font, shorten
from pellucid.pictures.display import fit, shrink
from pellucid.seeding import generator

CELL_SIDE = 256
"""Side of a cell in pixels. Larger pictures are shrunk before they are degraded, so that the grid shows the pixels of the damage; lengths
relative to the side have the same effect as at full size."""

MAX_ROWS, MAX_DRAWS = 40, 20
"""Maximum numbers of pictures, and of damaged versions of each, in the grid: a page of that size fits into every format."""

LINE_HEIGHT, NUM_CAPTION_LINES = 18, 4
"""Height of a line of a caption in pixels, and the number of lines."""


def damage_files(
    paths: Sequence[Path], suite: str, out: Path, seed: int = 0, draws: int = 5, force: bool = False, save: Path | None = None
) -> str:
    """Draw the grid of `draws` damaged versions of each picture, the original before them, into the file `out`; returns a sentence.

    The grid has the first `MAX_ROWS` pictures and the first `MAX_DRAWS` versions.

    The damage of a picture depends on the suite, the seed, its index, the number of the draw and its size. save: folder for the damaged
    versions of all pictures at full size, `INDEX-NAME-DRAW.png`, counted from 1; none by default. Raises `UserError` for what is no
    picture, an unknown suite, and a file or a folder with files that is there already unless `force`.
    """
    if suite not in SUITES:
        raise UserError(f"Expected a damage suite among {', '.join(SUITES)}, found '{suite}'; choose one of these.")
    if draws < 1:
        raise UserError(f"Expected at least 1 draw, found {draws}; leave the number out for 5.")
    if out.suffix.lower() not in pictures.WRITTEN:
        raise UserError(f"Expected a picture's name to write the grid to, such as grid.png, found {out}; choose one.")
    if out.exists() and not (force and out.is_file()):
        raise UserError(f"Expected a new file for the grid, found {out}; choose another name, or --force this one.")
    if save is not None and save.exists() and not (save.is_dir() and (force or not any(save.iterdir()))):
        raise UserError(f"Expected a new or empty folder for the damaged pictures, found {save}; choose another name, or --force.")
    rows, num_saved = [], 0
    for index, path in enumerate(pictures.find(paths)):
        if index == MAX_ROWS and save is None:
            break
        whole = pictures.read(path)
        if index < MAX_ROWS:
            picture = shrink(whole, CELL_SIDE)
            damaged = [_damaged(picture, suite, seed, index, draw) for draw in range(min(draws, MAX_DRAWS))]
            rows.append([(picture, path.name), *((pixels, damage_caption(record)) for pixels, record in damaged)])
        if save is not None:
            for draw in range(draws):
                pictures.write(save / f"{index + 1}-{path.stem}-{draw + 1}.png", _damaged(whole, suite, seed, index, draw)[0])
            num_saved += draws
    pictures.write(out, grid(rows, f"suite {suite}, seed {seed}"))
    saved = "" if save is None else f", and at the {num_saved:,} files in {save}"
    first = "the first " if index >= MAX_ROWS else ""
    return f"Suite '{suite}' on {first}{len(rows)} picture{'s' * (len(rows) > 1)}: look at {out}{saved}."


def _damaged(picture: NDArray[np.uint8], suite: str, seed: int, index: int, draw: int) -> tuple[NDArray[np.uint8], Damage]:
    damaged, record = SUITES[suite](from_pixels(picture[None]), generator("damage sheet", suite, seed, index, draw))
    return to_pixels(damaged)[0], record


def damage_caption(record: Damage) -> str:
    """The damage of the first image of a batch, as text: `rician noise 0.083, motion blur 4.3 pixels, 6 % lost`."""
    parts = [_step(kind, float(strength[0])) for kind, strength in record.strengths.items() if not strength[0].isnan()]
    share = round(100 * float(record.mask[0].float().mean()))
    return ", ".join([*parts, *([f"{share} % lost"] if share else [])]) or "no damage"


def _step(kind: str, strength: float) -> str:
    """One step as text, its strength with two digits."""
    number = f"{float(f'{strength:.2g}'):g}"
    if kind.removesuffix("_c") in CORRUPTIONS and kind.endswith("_c"):
        return f"{kind.removesuffix('_c').replace('_', ' ')} severity {number}"
    return f"{kind.replace('_', ' ')} {number}" + (" pixels" if DEGRADATIONS[kind].is_length else "")


def grid(rows: Sequence[Sequence[tuple[NDArray[np.uint8], str]]], heading: str) -> NDArray[np.uint8]:
    """A page (H, W, 3): a row for each picture, each cell with its caption below."""
    columns = max(map(len, rows))
    heights = [fit(cells[0][0], CELL_SIDE).shape[0] + GAP + NUM_CAPTION_LINES * LINE_HEIGHT for cells in rows]
    top = 2 * MARGIN + LINE_HEIGHT
    page = Image.new("RGB", (MARGIN + columns * (CELL_SIDE + GAP) + MARGIN - GAP, top + sum(heights) + MARGIN * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), f"Pellucid: {heading}", INK, font("Bold", 18))
    for cells, height in zip(rows, heights, strict=True):
        for column, (picture, caption) in enumerate(cells):
            left = MARGIN + column * (CELL_SIDE + GAP)
            image = Image.fromarray(fit(picture, CELL_SIDE))
            page.paste(image, (left, top))
            pen.rectangle((left - 1, top - 1, left + image.width, top + image.height), outline=EDGE)
            for line, text in enumerate(_wrapped(caption)):
                pen.text((left, top + image.height + GAP + line * LINE_HEIGHT), shorten(text, CELL_SIDE, font("", 12)), PALE, font("", 12))
        top += height + MARGIN
    return np.asarray(page)


def _wrapped(caption: str) -> list[str]:
    """Split a caption into lines, one for each part; the last line has the rest."""
    parts = caption.split(", ")
    return parts if len(parts) <= NUM_CAPTION_LINES else [*parts[: NUM_CAPTION_LINES - 1], ", ".join(parts[NUM_CAPTION_LINES - 1 :])]
