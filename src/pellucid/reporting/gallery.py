"""A gallery of pictures: clean, degraded, restored, and with the predicted class."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.batch import Output, from_pixels, to_pixels
from pellucid.data import Dataset
from pellucid.evaluation.tracks import PAIRS, Level, Track, damage
from pellucid.labels import UNLABELLED
from pellucid.metrics.psnr import MAX_PSNR, psnr_of
from pellucid.reporting.render import html

SMALL = 96
"""Pictures up to this many pixels a side are enlarged as sharp squares: what the network saw, and no guess of the browser's."""

MAX_SIDE = 256
"""Larger pictures are shown at this many pixels a side, so that a report stays a few megabytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A measured picture and what the network makes of it; `None` for what it doesn't answer, and for what nobody knows.

    index: in the data set; level: of the track's damage, if it has several; clean, damaged, restored: (H, W, 3) uint8; input_psnr, psnr:
    of damaged and restored, in dB; truth, answer: names of classes; confidence: the probability of the answer; right: whether it is true.
    """

    index: int
    level: str
    clean: NDArray[np.uint8]
    damaged: NDArray[np.uint8]
    input_psnr: float
    restored: NDArray[np.uint8] | None
    psnr: float | None
    truth: str | None
    answer: str | None
    confidence: float | None
    right: bool | None


_VERDICTS = {True: "right", False: "wrong", None: ""}


@torch.inference_mode()
def examples(
    network: Callable[[Tensor], Output],
    classes: Sequence[str],
    dataset: Dataset,
    track: Track,
    indices: Iterable[int],
    device: torch.device,
    levels: Sequence[Level] | None = None,
) -> list[Example]:
    """The pictures at `indices` under a track's damage, at `levels`, else its levels taking turns; one at a time, for they may be large."""
    shown = []
    for turn, index in enumerate(indices):
        level = track.levels[turn % len(track.levels)] if levels is None else levels[turn]
        clean = from_pixels(dataset.read([index]))
        given = clean if track.name != PAIRS or dataset.damaged is None else from_pixels(dataset.damaged[[index]])
        damaged, _ = damage(track, level, given, [index])
        output = network(damaged.to(device))
        logits, restored = (None if part is None else part.float().cpu() for part in (output.logits, output.restored))
        label = int(dataset.labels[index])
        answer = None if logits is None else int(logits.argmax())
        shown.append(
            Example(
                index=index,
                level=level.name if len(track.levels) > 1 else "",
                clean=to_pixels(clean)[0],
                damaged=to_pixels(damaged)[0],
                input_psnr=psnr_of(damaged, clean).item(),
                restored=None if restored is None else to_pixels(restored)[0],
                psnr=None if restored is None else psnr_of(restored, clean).item(),
                truth=None if label == UNLABELLED else dataset.classes[label],
                answer=None if answer is None else classes[answer],
                confidence=None if logits is None else logits.softmax(dim=1).max().item(),
                right=None if answer is None or label == UNLABELLED else answer == label,
            )
        )
    return shown


def gallery(shown: Iterable[Example]) -> Markup:
    """A card for each picture; whether its class is right is told by a word, a sign and a border, and by colour besides."""
    return html(
        '<ul class="pictures">{cards}</ul>\n', cards=Markup().join(html("<li>{card}</li>\n", card=_card(example)) for example in shown)
    )


def _card(example: Example) -> Markup:
    views = {"clean": example.clean, "damaged": example.damaged, "restored": example.restored}
    return html(
        '<figure class="{verdict}"><div class="views">{views}</div><figcaption>{said}<small>{measured}</small></figcaption></figure>',
        verdict=_VERDICTS[example.right],
        views=Markup().join(
            view(picture, name, f"picture {example.index}, {name}") for name, picture in views.items() if picture is not None
        ),
        said=_said(example),
        measured=_measured(example),
    )


def view(picture: NDArray[np.uint8], caption: str, description: str) -> Markup:
    """A picture (H, W, 3) over its caption; description: what a reader who can't see it is told."""
    shown = _shrunk(picture)
    return html(
        '<span><img class="{size}" src="{source}" width="{width}" height="{height}" alt="{description}">{caption}</span>',
        size="small" if max(shown.shape) <= SMALL else "large",
        source=_source(shown),
        width=shown.shape[1],
        height=shown.shape[0],
        description=description,
        caption=caption,
    )


def _said(example: Example) -> Markup:
    """The answer, the truth, and whether they are the same."""
    truth = html("<span>true class: <b>{truth}</b></span>", truth="not known" if example.truth is None else example.truth)
    if example.answer is None or example.confidence is None:
        return truth
    answer = html(
        "<span>named <b>{answer}</b>, {sure}\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}sure</span>",
        answer=example.answer,
        sure=f"{100 * example.confidence:.0f}",
    )
    sign, verdict = "✓" if example.right else "✗", _VERDICTS[example.right]
    mark = html('<span class="mark {verdict}">{sign} {verdict}</span>', verdict=verdict, sign=sign) if verdict else Markup()
    return html("{answer}{mark}{truth}", answer=answer, mark=mark, truth=truth)


def _measured(example: Example) -> str:
    decibels = ["identical" if psnr >= MAX_PSNR else f"{psnr:.1f} dB" for psnr in (example.input_psnr, example.psnr) if psnr is not None]
    return " · ".join(filter(None, (f"no. {example.index:,}", example.level, " → ".join(decibels))))


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = MAX_SIDE / max(picture.shape)
    if scale >= 1:
        return picture
    height, width = (max(1, round(scale * side)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _source(picture: NDArray[np.uint8]) -> str:
    """The picture itself as an address, without loss."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
