"""Saved models: a folder with `model.safetensors`, `config.json` and a model card `README.md`. No pickle.

`load_model` takes such a folder, that of a run, the name of a model on the Hugging Face hub (`owner/name`), or `bundled`.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from pellucid.device import choose_device
from pellucid.errors import UserError
from pellucid.files import atomic_write
from pellucid.metrics import FIGURES
from pellucid.models import ModelConfig, build_model

FORMAT = 1
"""Raised when a saved model means something else than before."""

WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"

CARD = {name: figure for name, figure in FIGURES.items() if figure.card}
"""The columns of a model card."""


@dataclass(frozen=True)
class ModelMetadata:
    """What a saved model says of itself.

    model: its architecture; classes: their names, in the order of the logits; damages: the
    degradations that its damage head tells apart; recipe: all settings of its training; training_data: the
    images that it saw, in words; trained: when, on what and how long; commit: the source that trained it; figures: by track, what was
    measured, see `Evaluation.to_json`.
    """

    model: ModelConfig
    classes: tuple[str, ...]
    damages: tuple[str, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    training_data: str = ""
    trained: str = ""
    commit: str = ""
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)


def save_model(folder: Path, network: nn.Module, metadata: ModelMetadata, dtype: torch.dtype = torch.float32) -> None:
    """Write a model whole or not at all; in float16 it takes half the space and loads as float32."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    config = {"format": FORMAT, "pellucid": version("pellucid"), **asdict(metadata)}
    with atomic_write(folder) as path:
        path.mkdir()
        (path / WEIGHTS).write_bytes(save(tensors))  # safetensors' own writer hides the file from everyone but its owner
        (path / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
        (path / README).write_text(model_card(metadata))


def load_model(source: str | Path | None = None, device: torch.device | str = "auto") -> tuple[nn.Module, ModelMetadata]:
    """The network in evaluation mode on `device`, and its metadata. Raises `UserError` for what is no whole model."""
    folder = _find(source)
    target = choose_device(device)
    try:
        config = json.loads((folder / CONFIG).read_text())
        if config.get("format") != FORMAT:
            raise UserError(
                f"Expected a model of format {FORMAT} in {folder}, found {config.get('format')} (saved by Pellucid "
                f"{config.get('pellucid', 'unknown')}); use that version of Pellucid, or train again."
            )
        settings: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in config["model"].items()}
        metadata = ModelMetadata(
            model=ModelConfig(**settings),
            classes=tuple(config["classes"]),
            damages=tuple(config.get("damages", ())),
            **{name: config[name] for name in ("recipe", "training_data", "trained", "commit", "figures")},
        )
        network = _untrained(metadata)
        network.load_state_dict(load_file(folder / WEIGHTS))
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        raise UserError(f"Expected a whole model in {folder} ({WEIGHTS}, {CONFIG}), found one that can't be read: {reason}") from error
    return network.to(target).eval(), metadata


def _untrained(metadata: ModelMetadata) -> nn.Module:
    """The network that metadata describe, whose first weights don't matter; the caller's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        return build_model(replace(metadata.model, pretrained=False), len(metadata.classes), metadata.damages)


def _find(source: str | Path | None) -> Path:
    """The folder of a model on this machine."""
    if source in (None, "bundled"):
        return Path(str(files("pellucid"))) / "bundled"
    folder = Path(source)
    if (folder / "model" / CONFIG).is_file():  # the folder of a run
        return folder / "model"
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
        if not (folder / CONFIG).is_file():
            found = "no such folder" if not folder.exists() else f"no {CONFIG} in it"
            raise UserError(f"Expected the folder of a saved model or of a run, found {source} ({found}); train one with 'pellucid train'.")
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(str(source), allow_patterns=[WEIGHTS, CONFIG], etag_timeout=2))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(
            f"Expected a folder or a model on the Hugging Face hub, found {source}: no such folder, and the hub gave no such model "
            f"({type(error).__name__}); check the name, or give a folder."
        ) from None


def model_card(metadata: ModelMetadata) -> str:
    """The card of a model, in Markdown with the hub's metadata."""
    network = _untrained(metadata)
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    measured = sorted({f"{each['split']} images of {each['dataset']}" for each in metadata.figures.values() if "split" in each})
    rows = "\n".join(_row(*row) for track, figures in metadata.figures.items() for row in _parts(track, figures))
    return f"""---
license: apache-2.0
library_name: pellucid
tags: [image-restoration, image-classification, multi-task-learning]
---
# A Pellucid model

One network that restores a damaged image and says what is in it, in one pass.

- **Architecture**: {metadata.model.arm}, encoder {metadata.model.encoder}, {num_parameters:,} parameters
- **Classes**: {", ".join(metadata.classes)}
- **Training data**: {metadata.training_data or "not stated"}
- **Trained**: {metadata.trained or "not stated"}
- **Source**: Pellucid {version("pellucid")}, commit {metadata.commit or "not stated"}

## Figures

{f"Measured on {', '.join(measured)}." if measured else "Of each track, the first so many images."}

| track | images | {" | ".join(figure.heading for figure in CARD.values())} |
| --- | --- |{" --- |" * len(CARD)}
{rows or f"| none measured |{' |' * (1 + len(CARD))}"}

{" ".join(f"{figure.heading}: {figure.meaning}" for figure in CARD.values() if figure.explained)}

Under a track stand its levels, or its images with each kind of damage. PSNR is the mean over images; 100 dB stands for identical images.
The damage of each track is fixed: `pellucid evaluate MODEL --track NAME` measures the same figures again.

## Limits

The network knows the damage and the classes that it was trained on. On other damage it may blur, on other subjects it still names one of
its classes; what it fills into a hole is a guess. Don't take a restored picture for evidence.

## Recipe

```json
{json.dumps(metadata.recipe, indent=1)}
```
"""


def _parts(track: str, figures: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a track: its own, and those of its levels or of the kinds of damage in it."""
    yield f"`{track}`", figures
    for part in ("levels", "kinds"):
        yield from ((f"— {name.replace('_', ' ')}", scores) for name, scores in figures.get(part, {}).items())


def _row(name: str, figures: dict[str, Any]) -> str:
    cells = " | ".join(_cell(figures.get(column), figure.spec) for column, figure in CARD.items())
    return f"| {name} | {figures['num_images']:,} | {cells} |"


def _cell(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
