"""The settings of training, readable without loading torch."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UserError

PRECISIONS = ("auto", "bf16-mixed", "32-true")
"""What a network may compute in: Fabric's names, and `auto`."""


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how fast and how exactly a network is trained.

    Args:
        epochs: passes over the training images; parts of one are fine.
        batch_size: images of one step, over all devices together.
        optimizer: `muon` orthogonalises the update of every convolution (Jordan et al. 2024), the rest is AdamW's; `adamw`; `adam`.
        learning_rate: of the optimiser; with `muon`, of the convolutions.
        fallback_learning_rate: with `muon`, of scales, biases and whatever else is no convolution; a tenth of `learning_rate`
            if it is not set.
        head_learning_rate: with `muon`, of the last layer of each task; `fallback_learning_rate` if it is not set.
        weight_decay: decoupled, on convolutions and linear layers; `adam` has none.
        schedule: after the warm-up, the learning rate falls to 0 along a `cosine` or a `linear` line, or stays `constant`.
        warmup: part of the training in which the learning rate rises from 0.
        clip_norm: largest norm of the gradient; 0 for no clipping.
        average: horizon of the averaged weights (EMA), as a part of the training; 0 keeps the last weights.
        crop: pixels by which a crop may shift, over mirrored borders; 0 for none.
        small_images: part of the training, at its start, that sees the images at three quarters of their side: more of them for the time.
        flip: mirror half of the images at `random`, or every image in `alternate` epochs (Jordan 2024, airbench), or `none`.
        precision: `bf16-mixed` or `32-true` (Fabric's names); `auto` is bfloat16 where the device computes in it natively, else float32,
            and a resumed run keeps what it began with.
        shards: parts of a batch that a CPU computes side by side, a thread each, every part normalised by itself; 1 for whole batches.
            Other devices, several processes and balancers other than `fixed` take whole batches.
        compile: `torch.compile` the network; pays on a GPU, rarely on a CPU.
        start: model whose weights the training starts from, as `pellucid evaluate` takes it, instead of random ones; the same anatomy.
        max_minutes: end by then, the schedule included; 0 for no limit.
        save_minutes: how often the state is saved that `--resume` goes on from.
        seed: of the weights, the order, the crops and the damage.
    """

    epochs: float = 30
    batch_size: int = 256
    optimizer: Literal["muon", "adamw", "adam"] = "muon"
    learning_rate: float = 0.12
    fallback_learning_rate: float | None = None
    head_learning_rate: float | None = None
    weight_decay: float = 0.0
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup: float = 0.15
    clip_norm: float = 10.0
    average: float = 0.02
    crop: int = 2
    small_images: float = 0.0
    flip: Literal["random", "alternate", "none"] = "alternate"
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    shards: int = 1
    compile: bool = False
    start: str | None = None
    max_minutes: float = 0.0
    save_minutes: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "shards", "learning_rate", "fallback_learning_rate", "head_learning_rate"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise UserError(f"Expected {name} above 0, found {value}.")
        for name in ("weight_decay", "clip_norm", "crop", "max_minutes", "save_minutes"):
            if not getattr(self, name) >= 0:
                raise UserError(f"Expected {name} of at least 0, found {getattr(self, name)}.")
        for name in ("warmup", "average", "small_images"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"Expected {name} as a part of the training in [0, 1), found {getattr(self, name)}.")
        for name in ("fallback_learning_rate", "head_learning_rate"):
            if self.optimizer != "muon" and getattr(self, name) is not None:
                raise UserError(f"Expected {name} with muon alone, found it with {self.optimizer}; leave it out.")
        if self.precision not in PRECISIONS:
            raise UserError(f"Expected a precision among {', '.join(PRECISIONS)}, found '{self.precision}'; choose one of these.")
        if self.optimizer == "adam" and self.weight_decay:
            raise UserError("Expected no weight_decay with adam, which has none here; use adamw, or set it to 0.")
