"""The provenance of a run: network, data, time, machine, source, and every setting of the recipe."""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import torch
from markupsafe import Markup
from torch import nn

from pellucid.checkpoint import ModelMetadata
from pellucid.data import Dataset
from pellucid.device import choose_precision, describe_device
from pellucid.experiments.results import Results
from pellucid.reporting.blocks import Html, Section, Terms
from pellucid.reporting.render import html

MAX_LISTED_CLASSES = 20
"""Maximum number of class names that are listed."""


def facts(network: nn.Module, metadata: ModelMetadata, dataset: Dataset, num_images: int, records: Sequence[Mapping[str, Any]]) -> Section:
    """The section on provenance; num_images: number of evaluated images; records: the training log."""
    model = metadata.model
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    height, width = dataset.size
    device = next(network.parameters()).device
    today = datetime.now().astimezone()
    entries = {
        "Network": f"{model.name}, encoder {model.encoder.name}, {num_parameters:,} parameters",
        "Trained on": metadata.training_data or "not stated",
        "Measured on": f"{num_images:,} {dataset.split} images of {dataset.name}, {width} × {height} pixels",
        "Classes": _classes(metadata.classes),
        "Training": f"{duration(records[-1]['seconds'])}, {records[-1]['step']:,} steps" if records else "not recorded",
        "Trained": metadata.trained or "not stated",
        "Source": _source(metadata.commit),
        "Measured by": f"{describe_device(device)}, {choose_precision(device)}",
        "Software": f"Pellucid {version('pellucid')}, PyTorch {torch.__version__}, Python {platform.python_version()}",
        "Written": f"{today.day} {today:%B %Y}",
    }
    return Section("Provenance", [Terms(entries), all_settings(metadata.recipe)])


def runs_provenance(comparisons: Sequence[Results]) -> dict[str, str]:
    """The provenance of the runs of comparisons that one command made."""
    first, *_ = comparisons
    arms, seeds = first.planned
    runs = [run.provenance for each in comparisons for by_seed in each.runs.values() for run in by_seed.values()]

    def distinct(name: str) -> str:
        return "; ".join(sorted({str(run[name]) for run in runs if run.get(name)}))

    entries = {
        **{name.capitalize(): first.provenance.get(name) for name in ("command", "commit", "device", "date")},
        "Seeds": ", ".join(map(str, seeds)),
        "Runs": f"{len(runs)} of {len(arms) * len(seeds) * len(comparisons)} finished",
        "Runs were made by commit": distinct("trained_commit"),
        "Runs were made on": distinct("device"),
        "Runs at a time": distinct("runs_at_a_time"),
        "Runs were measured": distinct("date"),
    }
    return {name: str(entry) for name, entry in entries.items() if entry}


def duration(seconds: float) -> str:
    """A duration as text.

    >>> duration(58.4), duration(299), duration(7260)
    ('58 s', '4 min 59 s', '2 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _classes(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED_CLASSES:,} more" if len(names) > MAX_LISTED_CLASSES else ""
    return f"{len(names):,}: {', '.join(names[:MAX_LISTED_CLASSES])}{more}"


def _source(commit: str) -> str:
    """A commit as returned by `provenance.source_commit`, as text."""
    if not commit or commit.startswith("version"):
        return commit or "not stated"
    return f"commit {commit.rstrip('+')}" + (", with uncommitted changes" if commit.endswith("+") else "")


def all_settings(recipe: Mapping[str, Any]) -> Html:
    """All settings by their names on the command line, collapsed; empty without a recipe."""
    rows = Markup().join(html("<li><span>{name}</span> {value}</li>", name=name, value=value) for name, value in _flat(recipe))
    listed = html('<details><summary>All settings of the recipe</summary><ul class="settings">{rows}</ul></details>', rows=rows)
    return Html(listed if rows else Markup())


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)
