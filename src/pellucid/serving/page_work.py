"""Functions of the page: examples, adding damage, metrics against the clean picture, and their display."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from html import escape as escape
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.batch import from_pixels, to_pixels
from pellucid.data.cifar10 import CLASSES as CLASSES
from pellucid.degradations import SUITES, Pipeline, Step
from pellucid.degradations.suites import PIPELINES
from pellucid.inference import Prediction
from pellucid.metrics.psnr import MAX_PSNR, psnr_of
from pellucid.metrics.ssim import ssim_of
from pellucid.pictures import Picture, Pixels, decode
from pellucid.pictures.display import enlarge, shrink
from pellucid.seeding import generator

NONE = "none"
"""The choice of no damage, also the name of an empty suite."""

EXAMPLE_DAMAGE = "reference"
"""Damage of an example if no other was chosen: undamaged ones would show nothing."""

MIN_DISPLAY_SIDE, MAX_DISPLAY_SIDE = 384, 1600
"""Range in pixels of the longer side of displayed pictures; downloads keep their size."""

UNLIKELY = 0.01
"""Probability below which the strength of a kind of damage is not displayed."""


@cache
def example_pictures() -> tuple[NDArray[np.uint8], ...]:
    """Undamaged pictures (32, 32, 3), one of each class of CIFAR-10."""
    with (files("pellucid.serving") / "examples.png").open("rb") as stream:
        strip = decode(stream, "the examples")
    return tuple(np.ascontiguousarray(each) for each in np.split(strip, len(CLASSES), axis=1))


@cache
def single_damages() -> Mapping[str, Step]:
    """Single degradations by name, with the range of strengths of the first suite that contains it."""
    steps = [step for pipeline in PIPELINES.values() for step in pipeline.steps if step.high is not None]
    return {name.removesuffix("_c").replace("_", " "): step for step in reversed(steps) for name in [step.name]}


def damage_choices() -> list[str]:
    """The names of all selectable damage: none, the suites, single degradations."""
    return [*SUITES, *sorted(single_damages())]


def add_damage(picture: Picture, name: str, strength: float, seed: int) -> Picture:
    """Add damage to a picture. strength: of a single degradation, from 0 to 1 of its range; suites draw it by the seed."""
    if name == NONE:
        return picture
    if name in SUITES:
        suite = SUITES[name]
    else:
        step = single_damages()[name]
        suite = Pipeline((Step(step.name, step.low + (step.highest - step.low) * strength, relative=step.relative),))
    images, _ = suite(from_pixels(picture.pixels[None]), generator("page", name, seed))
    [pixels] = to_pixels(images, torch.uint8 if picture.pixels.dtype == np.uint8 else torch.uint16)
    grey = picture.grey and bool((pixels == pixels[:, :, :1]).all())
    return replace(picture, pixels=pixels, grey=grey, alpha=None)


class PictureMetrics(NamedTuple):
    """PSNR in dB and SSIM of the damaged and of the restored picture; SSIM is NaN below 11 pixels a side."""

    psnr: list[float]
    ssim: list[float]


def measure_picture(clean: Pixels, damaged: Pixels, restored: Pixels) -> PictureMetrics:
    """Compute the metrics of a damaged and a restored picture."""
    original = from_pixels(clean[None])
    both = [from_pixels(each[None]) for each in (damaged, restored)]
    return PictureMetrics(*([float(figure(each, original)) for each in both] for figure in (psnr_of, ssim_of)))


def metrics_html(figures: PictureMetrics | None, missing: str) -> str:
    """PSNR and SSIM as HTML; missing: the text without metrics."""
    if figures is None:
        return f"<p>{escape(missing)}</p>"
    rows = zip(("damaged", "restored"), *figures, strict=True)
    cells = "".join(f"<tr><th>{name}</th><td>{_psnr(psnr)}</td><td>{_ssim(ssim)}</td></tr>" for name, psnr, ssim in rows)
    return f"<table><thead><tr><th></th><th>PSNR in dB</th><th>SSIM</th></tr></thead><tbody>{cells}</tbody></table>"


def _psnr(value: float) -> str:
    return "equal" if value >= MAX_PSNR else f"{value:.2f}"


def _ssim(value: float) -> str:
    return "too small" if np.isnan(value) else f"{value:.4f}"


def damage_html(prediction: Prediction) -> str:
    """The estimated damage as HTML, most probable first."""
    if prediction.damage is None:
        return "<p>This model does not estimate the damage.</p>"
    rows = ""
    for kind, estimate in sorted(prediction.damage.items(), key=lambda item: -item[1]["probability"]):
        unlikely = "" if estimate["probability"] > 0.5 else " class=unlikely"
        strength = f"{float(format(estimate['strength'], '.2g')):g} ({estimate['unit']})" if estimate["probability"] >= UNLIKELY else "–"
        name = kind.replace("_", " ")
        rows += f"<tr{unlikely}><th>{escape(name)}</th><td>{100 * estimate['probability']:.0f} %</td><td>{escape(strength)}</td></tr>"
    head = "<tr><th>damage</th><th>probability</th><th>strength, if present</th></tr>"
    lost = "" if prediction.mask is None else f"<p>{100 * float(prediction.mask.mean()):.1f} % of the pixels are lost.</p>"
    return f"{lost}<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def display(pixels: Pixels) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with a longer side of `MIN_DISPLAY_SIDE` to `MAX_DISPLAY_SIDE` pixels, for display."""
    picture = shrink(Picture(pixels).on_white(), MAX_DISPLAY_SIDE)
    side = max(picture.shape[:2])
    factor = max(1, -(-MIN_DISPLAY_SIDE // side))
    return enlarge(picture, factor) if side * factor <= MAX_DISPLAY_SIDE else picture
