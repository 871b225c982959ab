"""The work behind `pellucid damage`: a suite's damage on the user's own pictures, as a grid."""

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
from pellucid.seeding import generator

SIDE = 256
"""Pixels of the square that each picture is fitted into. Larger ones are shrunk before they are damaged, so that the grid shows the very
pixels of the damage; lengths relative to the side come out as they would at full size."""

LINE, LINES = 18, 4
"""Height of a line of a caption in pixels, and how many of them there are."""


def damage_files(
    paths: Sequence[Path], suite: str, out: Path, seed: int = 0, draws: int = 5, force: bool = False, save: Path | None = None
) -> str:
    """Draw the grid of `draws` damaged versions of each picture, the original before them, into the file `out`; returns a sentence.

    The damage of a picture depends on the suite, the seed, its index, the number of the draw, and its size. save: a folder for versions at
    full size, `INDEX-NAME-DRAW.png`, counted from 1; none by default. Raises `UserError` for what is no picture, an unknown suite, and a
    file or folder that is there already unless `force`.
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
    rows = []
    for index, path in enumerate(pictures.find(paths)):
        whole = pictures.read(path)
        picture = fitted(whole)
        cells = [(picture, path.name)]
        for draw in range(draws):
            damaged, record = _damaged(picture, suite, seed, index, draw)
            cells.append((damaged, describe(record)))
            if save is not None:
                pictures.write(save / f"{index + 1}-{path.stem}-{draw + 1}.png", _damaged(whole, suite, seed, index, draw)[0])
        rows.append(cells)
    pictures.write(out, grid(rows, f"suite {suite}, seed {seed}"))
    told = "" if save is None else f", and at the {len(rows) * draws} files in {save}"
    return f"Suite '{suite}' on {len(rows)} picture{'s' * (len(rows) > 1)}: look at {out}{told}."


def _damaged(picture: NDArray[np.uint8], suite: str, seed: int, index: int, draw: int) -> tuple[NDArray[np.uint8], Damage]:
    damaged, record = SUITES[suite](from_pixels(picture[None]), generator("damage sheet", suite, seed, index, draw))
    return to_pixels(damaged)[0], record


def fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3), shrunk to `SIDE` pixels if it is larger."""
    height, width = picture.shape[:2]
    if max(height, width) <= SIDE:
        return picture
    size = tuple(max(1, round(length * SIDE / max(height, width))) for length in (width, height))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, reducing_gap=3))


def describe(record: Damage) -> str:
    """What was drawn for the first image of a batch: `rician noise 0.083, motion blur 4.3 pixels, 6 % lost`."""
    parts = [_step(kind, float(strength[0])) for kind, strength in record.strengths.items() if not strength[0].isnan()]
    share = round(100 * float(record.mask[0].float().mean()))
    return ", ".join([*parts, *([f"{share} % lost"] if share else [])]) or "no damage"


def _step(kind: str, strength: float) -> str:
    """One step in words, its strength to two digits."""
    number = f"{float(f'{strength:.2g}'):g}"
    if kind.removesuffix("_c") in CORRUPTIONS and kind.endswith("_c"):
        return f"{kind.removesuffix('_c').replace('_', ' ')} severity {number}"
    return f"{kind.replace('_', ' ')} {number}" + (" pixels" if DEGRADATIONS[kind].is_length else "")


def grid(rows: Sequence[Sequence[tuple[NDArray[np.uint8], str]]], heading: str) -> NDArray[np.uint8]:
    """A page (H, W, 3): a row for each picture, each cell with its caption below."""
    columns = max(map(len, rows))
    heights = [round(cells[0][0].shape[0] * _factor(cells[0][0])) + GAP + LINES * LINE for cells in rows]
    top = 2 * MARGIN + LINE
    page = Image.new("RGB", (MARGIN + columns * (SIDE + GAP) + MARGIN - GAP, top + sum(heights) + MARGIN * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, MARGIN), f"Pellucid: {heading}", INK, font("Bold", 18))
    for cells, height in zip(rows, heights, strict=True):
        for column, (picture, caption) in enumerate(cells):
            left = MARGIN + column * (SIDE + GAP)
            factor = _factor(picture)
            image = Image.fromarray(picture).resize((picture.shape[1] * factor, picture.shape[0] * factor), Image.Resampling.NEAREST)
            page.paste(image, (left, top))
            pen.rectangle((left - 1, top - 1, left + image.width, top + image.height), outline=EDGE)
            for line, text in enumerate(_wrapped(caption)):
                pen.text((left, top + image.height + GAP + line * LINE), shorten(text, SIDE, font("", 12)), PALE, font("", 12))
        top += height + MARGIN
    return np.asarray(page)


def _factor(picture: NDArray[np.uint8]) -> int:
    """By how much a small picture is enlarged, pixel for pixel."""
    return int(SIDE // max(picture.shape[:2]))


def _wrapped(caption: str) -> list[str]:
    """A caption a line for each part that it lists, the last line with all that is left."""
    parts = caption.split(", ")
    return parts if len(parts) <= LINES else [*parts[: LINES - 1], ", ".join(parts[LINES - 1 :])]
