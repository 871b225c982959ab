"""Saved models: a folder with `model.safetensors`, `config.json` and a model card `README.md`. No pickle.

`load_model` takes such a folder, that of a run, the name of a model on the Hugging Face hub (`owner/name`), or `bundled`.

    >>> from pellucid.checkpoint import load_model
    >>> network, metadata = load_model("bundled", "cpu")
    >>> len(metadata.classes), metadata.classes[0], metadata.image_size
    (10, 'airplane', 32)
"""

import json
import math
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from pellucid.degradations import DEGRADATIONS, SUITES
from pellucid.device import choose_device
from pellucid.errors import UserError
from pellucid.files import atomic_write
from pellucid.model_folder import CONFIG, README, WEIGHTS, find_model
from pellucid.models import ModelConfig, build_model, model_config
from pellucid.models.gate import Gate

FORMAT = 1
"""Version of the file format, incremented on incompatible changes."""


@dataclass(frozen=True)
class ModelMetadata:
    """Metadata of a saved model.

    model: its architecture; classes: class names, in the order of the logits; damages: the kinds of damage that its damage head
    distinguishes; recipe: all settings of its training; training_data: description of the training images; trained: date, device and
    duration of the training; commit: the source that trained it; figures: metrics by track, see `Evaluation.to_json`; image_size: shorter
    side of the training images in pixels, 32 for models that were saved before it was recorded; temperature, gate, fitted: see
    `evaluation.calibration.Calibration`, as is least_evidence; 1, `None` and empty for models saved before they were recorded; data_digest:
    see `Splits`.
    """

    model: ModelConfig
    classes: tuple[str, ...]
    damages: tuple[str, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    training_data: str = ""
    trained: str = ""
    commit: str = ""
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    image_size: int = 32
    temperature: float = 1.0
    gate: Gate | None = None
    fitted: str = ""
    least_evidence: float | None = None
    data_digest: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"Expected a temperature above 0, found {self.temperature}.")
        if self.least_evidence is not None and not math.isfinite(self.least_evidence):
            raise ValueError(f"Expected a finite least_evidence, found {self.least_evidence}.")

    @property
    def tasks(self) -> str:
        """`both`, `classify` or `restore`."""
        return self.model.tasks

    @property
    def trained_kinds(self) -> tuple[str, ...]:
        """The kinds of damage of its training images, as far as the recipe names degradations that still exist."""
        damage = self.recipe.get("damage", {})
        suites = [damage] if isinstance(damage, str) else damage.get("weights", {})
        steps = [] if isinstance(damage, str) else damage.get("steps", ())
        rows = {step["name"]: DEGRADATIONS[step["name"]] for step in steps if step["name"] in DEGRADATIONS}
        own = [row.kind or name for name, row in rows.items()]
        return tuple(dict.fromkeys([*own, *(kind for suite in suites if suite in SUITES for kind in SUITES[suite].kinds)]))


def save_model(folder: Path, network: nn.Module, metadata: ModelMetadata, dtype: torch.dtype = torch.float32) -> None:
    """Save a model atomically into a new folder; in float16 it takes half the space and loads as float32.

    Raises `UserError` if the folder has files already or can't be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    config = {"format": FORMAT, "pellucid": version("pellucid"), **asdict(metadata)}
    with atomic_write(folder) as path:
        path.mkdir()
        (path / WEIGHTS).write_bytes(save(tensors))  # safetensors' own `save_file` makes the file readable by its owner alone
        (path / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
        (path / README).write_text(model_card(metadata), "utf-8")


def load_model(source: str | Path | None = None, device: torch.device | str = "auto") -> tuple[nn.Module, ModelMetadata]:
    """The network in evaluation mode on `device`, and its metadata. Raises `UserError` if there is no valid model."""
    folder = find_model(source)
    target = choose_device(device)
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        if config.get("format") != FORMAT:
            raise UserError(
                f"Expected a model of format {FORMAT} in {folder}, found {config.get('format')} (saved by Pellucid "
                f"{config.get('pellucid', 'unknown')}); use that version of Pellucid, or train again."
            )
        values = {each.name: config[each.name] for each in fields(ModelMetadata) if each.name in config}
        values |= {"model": model_config(config["model"]), "classes": tuple(config["classes"])}
        values |= {"damages": tuple(config.get("damages", ())), "gate": Gate(**gate) if (gate := config.get("gate")) else None}
        metadata = ModelMetadata(**values)
        network = _untrained(metadata)
        network.load_state_dict(load_file(folder / WEIGHTS))
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        reason = textwrap.shorten(str(error), 200) or type(error).__name__
        raise UserError(f"Expected a whole model in {folder} ({WEIGHTS}, {CONFIG}), found one that can't be read: {reason}") from error
    return network.to(target, memory_format=torch.channels_last).eval(), metadata  # type: ignore[call-overload]


def _untrained(metadata: ModelMetadata) -> nn.Module:
    """The network that metadata describe, with arbitrary weights; the caller's random state is preserved."""
    with torch.random.fork_rng(devices=[]):
        return build_model(metadata.model, len(metadata.classes), metadata.damages, load=False)


def model_card(metadata: ModelMetadata) -> str:
    """The model card, in Markdown with the hub's metadata."""
    from pellucid.metrics import BROKEN_MARK, BROKEN_NOTE, FIGURES, figure_text  # only now: loading a model does not need them

    columns = {name: figure for name, figure in FIGURES.items() if figure.card}
    network = _untrained(metadata)
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    measured = sorted({f"{each['split']} images of {each['dataset']}" for each in metadata.figures.values() if "split" in each})
    calibrated = metadata.gate is not None or metadata.temperature != 1
    raw = calibrated and any(figures.get("raw", True) for figures in metadata.figures.values())  # older figures don't say that they are
    outputs = "the network's own outputs, without temperature and gate" if raw else "the outputs of `predict`, with temperature and gate"
    parts = [row for track, figures in metadata.figures.items() for row in _parts(track, figures)]
    cells = [[f"{figures['num_images']:,}", *(figure_text(figures, column) for column in columns)] for _, figures in parts]
    rows = "\n".join(f"| {name} | {' | '.join(row)} |" for (name, _), row in zip(parts, cells, strict=True))
    broken = f"\n{BROKEN_MARK}: some {BROKEN_NOTE}.\n" if any(figures.get("broken") for _, figures in parts) else ""
    return f"""---
license: apache-2.0
library_name: pellucid
tags: [image-restoration, image-classification, multi-task-learning]
---
# A Pellucid model

A network that restores and classifies damaged images in a single forward pass.

- **Architecture**: {metadata.model.name}, encoder {metadata.model.encoder.name}, {num_parameters:,} parameters
- **Classes**: {", ".join(metadata.classes)}
- **Training data**: {metadata.training_data or "not stated"}, {metadata.image_size} pixels a side
- **Trained**: {metadata.trained or "not stated"}
- **Confidence**: {_confidence(metadata)}
- **Gate**: {"undamaged pictures are returned unchanged" if metadata.gate else "none, every picture is restored"}
- **Source**: Pellucid {version("pellucid")}, commit {metadata.commit or "not stated"}

## Figures

{f"Measured on {', '.join(measured)}, {outputs}." if measured else "The evaluated images are not recorded."}

| track | images | {" | ".join(figure.heading for figure in columns.values())} |
| --- | --- |{" --- |" * len(columns)}
{rows or f"| none measured |{' |' * (1 + len(columns))}"}

{" ".join(f"{figure.heading}: {figure.meaning}" for figure in columns.values() if figure.explained)}
{broken}
Below a track are its levels, or its images with each kind of damage. PSNR is the mean over images; identical images count as 100 dB.
The damage of each track is fixed: `pellucid evaluate MODEL --track NAME{" --raw" if raw else ""}` reproduces the figures.

## Limits

The network was trained on this damage and these classes only. It may blur pictures with other damage, and assigns one of its classes to
every picture. The restored content of lost regions is a guess. Restored pictures must not be used as evidence.

## Recipe

```json
{json.dumps(metadata.recipe, indent=1)}
```
"""


def _confidence(metadata: ModelMetadata) -> str:
    if metadata.tasks == "restore":
        return "none, the model does not classify"
    if "temperature" in metadata.fitted:
        return f"calibrated, temperature {metadata.temperature:.3f} ({metadata.fitted})"
    return "not calibrated: no labelled images were held out of the training to fit a temperature on"


def _parts(track: str, figures: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The table rows of a track: the track, its levels, or groups of them, and its kinds of damage."""
    yield f"`{track}`", figures
    for part in ("groups" if "groups" in figures else "levels", "kinds"):
        yield from ((f"— {name.replace('_', ' ')}", scores) for name, scores in figures.get(part, {}).items())
