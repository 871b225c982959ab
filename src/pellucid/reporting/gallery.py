"""A gallery of pictures: clean, degraded, restored, and with the predicted class."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from pellucid.batch import Output, to_pixels
from pellucid.data import Dataset
from pellucid.device import inference_autocast
from pellucid.evaluation import Level, Track
from pellucid.evaluation.evaluate import load_batch
from pellucid.labels import UNLABELLED
from pellucid.metrics.psnr import MAX_PSNR, psnr_of
from pellucid.pictures.display import shrink
from pellucid.reporting.render import html

SMALL_SIDE = 96
"""Pictures up to this side in pixels are enlarged without interpolation."""

MAX_SIDE = 256
"""Maximum side in pixels; larger pictures are shrunk, to limit the size of the report."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture and its prediction; `None` for missing outputs and unknown labels.

    index: in the data set; level: of the track's damage, if it has several; clean, damaged, restored: (H, W, 3) uint8; input_psnr, psnr:
    of damaged and restored, in dB; label, predicted: class names; confidence: probability of the predicted class; correct: whether the
    predicted class is the label.
    """

    index: int
    level: str
    clean: NDArray[np.uint8]
    damaged: NDArray[np.uint8]
    input_psnr: float
    restored: NDArray[np.uint8] | None
    psnr: float | None
    label: str | None
    predicted: str | None
    confidence: float | None
    correct: bool | None


_MARKS = {True: "right", False: "wrong", None: ""}


@torch.inference_mode()
def collect_examples(
    network: nn.Module,
    classes: Sequence[str],
    dataset: Dataset,
    track: Track,
    indices: Iterable[int],
    levels: Sequence[Level] | None = None,
) -> list[Example]:
    """Predict the pictures at `indices` with a track's damage, at `levels`, by default in turn; one at a time, since they may be large."""
    shown, device = [], next(network.parameters()).device
    for turn, index in enumerate(indices):
        level = track.levels[turn % len(track.levels)] if levels is None else levels[turn]
        batch = load_batch(dataset, track, level, [index])
        with inference_autocast(device):  # as the figures are computed
            output: Output = network(batch.degraded.to(device))
        logits, restored = (None if part is None else part.float().cpu() for part in (output.logits, output.restored))
        label = int(dataset.labels[index])
        predicted = None if logits is None else int(logits.argmax())
        shown.append(
            Example(
                index=index,
                level=level.name if len(track.levels) > 1 else "",
                clean=to_pixels(batch.clean)[0],
                damaged=to_pixels(batch.degraded)[0],
                input_psnr=psnr_of(batch.degraded, batch.clean).item(),
                restored=None if restored is None else to_pixels(restored)[0],
                psnr=None if restored is None else psnr_of(restored, batch.clean).item(),
                label=None if label == UNLABELLED else dataset.classes[label],
                predicted=None if predicted is None else classes[predicted],
                confidence=None if logits is None else logits.softmax(dim=1).max().item(),
                correct=None if predicted is None or label == UNLABELLED else predicted == label,
            )
        )
    return shown


def gallery(shown: Iterable[Example]) -> Markup:
    """A card for each picture; a correct class is marked by a word, a sign, a border and a colour."""
    return html(
        '<ul class="pictures">{cards}</ul>\n', cards=Markup().join(html("<li>{card}</li>\n", card=_card(example)) for example in shown)
    )


def _card(example: Example) -> Markup:
    views = {"clean": example.clean, "damaged": example.damaged, "restored": example.restored}
    return html(
        '<figure class="{verdict}"><div class="views">{views}</div><figcaption>{classes}<small>{measured}</small></figcaption></figure>',
        verdict=_MARKS[example.correct],
        views=Markup().join(
            view(picture, name, f"picture {example.index}, {name}") for name, picture in views.items() if picture is not None
        ),
        classes=_classes(example),
        measured=_measured(example),
    )


def view(picture: NDArray[np.uint8], caption: str, description: str) -> Markup:
    """A picture (H, W, 3) above its caption; description: text alternative for screen readers."""
    shown = shrink(picture, MAX_SIDE)
    return html(
        '<span><img class="{size}" src="{source}" width="{width}" height="{height}" alt="{description}">{caption}</span>',
        size="small" if max(shown.shape) <= SMALL_SIDE else "large",
        source=_source(shown),
        width=shown.shape[1],
        height=shown.shape[0],
        description=description,
        caption=caption,
    )


def _classes(example: Example) -> Markup:
    """The predicted class, the true class, and whether they agree."""
    truth = html("<span>true class: <b>{label}</b></span>", label="not known" if example.label is None else example.label)
    if example.predicted is None or example.confidence is None:
        return truth
    prediction = html(
        "<span>predicted <b>{predicted}</b>, {sure}\N{NO-BREAK SPACE}%</span>",
        predicted=example.predicted,
        sure=f"{100 * example.confidence:.0f}",
    )
    sign, verdict = "✓" if example.correct else "✗", _MARKS[example.correct]
    mark = html('<span class="mark {verdict}">{sign} {verdict}</span>', verdict=verdict, sign=sign) if verdict else Markup()
    return html("{prediction}{mark}{truth}", prediction=prediction, mark=mark, truth=truth)


def _measured(example: Example) -> str:
    decibels = ["identical" if psnr >= MAX_PSNR else f"{psnr:.1f} dB" for psnr in (example.input_psnr, example.psnr) if psnr is not None]
    return " · ".join(filter(None, (f"no. {example.index:,}", example.level, " → ".join(decibels))))


def _source(picture: NDArray[np.uint8]) -> str:
    """The picture as a data URL, lossless."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
