"""Compare pictures that `pellucid damage --save` has damaged with what `pellucid predict` makes of them.

python scripts/domain_examples.py ORIGINALS... --damaged DIR --restored DIR --out PICTURE.png [--draws N ...]

Prints the PSNR of each damaged and restored picture as JSON, and draws a row for each of the draws: original, damaged, restored.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pellucid import pictures
from pellucid.inference.sheet import INK, MARGIN, PALE, font

SIDE, GAP, LINE = 216, 8, 20
"""Pixels of a cell's side, between cells, and of a line of text."""


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float | None:
    """In dB; `None` for identical pictures."""
    error = float(np.square((one.astype(float) - other) / 255).mean())
    return round(-10 * math.log10(error), 2) if error else None


def cell(picture: NDArray[np.uint8]) -> Image.Image:
    """A picture at the size of a cell; small ones enlarged without smoothing."""
    image = Image.fromarray(picture)
    factor = SIDE / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS)


def main() -> None:
    """Read the pictures, print the figures, draw the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("originals", nargs="+", type=Path)
    parser.add_argument("--damaged", type=Path, required=True)
    parser.add_argument("--restored", type=Path, required=True, help="the folder of --out of pellucid predict")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", nargs="+", help="INDEX-NAME-DRAW of the pictures to draw, all by default")
    arguments = parser.parse_args()
    originals = {path.stem: pictures.read(path) for path in arguments.originals}
    restored = {path.stem: path for path in (arguments.restored / "restored").rglob("*.png")}
    figures, rows = {}, []
    for path in sorted(arguments.damaged.glob("*.png")):
        clean, damaged, after = (
            originals[path.stem.split("-", 1)[1].rsplit("-", 1)[0]],
            pictures.read(path),
            pictures.read(restored[path.stem]),
        )
        figures[path.stem] = {"damaged_psnr": psnr(damaged, clean), "restored_psnr": psnr(after, clean)}
        if arguments.draws is None or path.stem in arguments.draws:
            rows.append((clean, damaged, after, figures[path.stem]))
    print(json.dumps(figures, indent=1))
    heights = [cell(clean).height for clean, *_ in rows]
    page = Image.new("RGB", (2 * MARGIN + 3 * SIDE + 2 * GAP, 2 * MARGIN + sum(height + LINE + GAP for height in heights)), "white")
    pen, top = ImageDraw.Draw(page), MARGIN
    for (clean, damaged, after, of_row), height in zip(rows, heights, strict=True):
        captions = ("original", f"damaged: {of_row['damaged_psnr']} dB", f"restored: {of_row['restored_psnr']} dB")
        for column, (picture, caption) in enumerate(zip((clean, damaged, after), captions, strict=True)):
            left = MARGIN + column * (SIDE + GAP)
            page.paste(cell(picture), (left, top))
            pen.text((left, top + height + 2), caption, PALE if column else INK, font("", 13))
        top += height + LINE + GAP
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    page.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(arguments.out, optimize=True)  # a third of the size


if __name__ == "__main__":
    main()
