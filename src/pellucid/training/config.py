"""The settings of training, readable without loading torch."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UserError
from pellucid.settings import Settings, setting


@dataclass(frozen=True)
class TrainingConfig(Settings):
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
        ema_horizon: of the averaged weights, as a part of the training; 0 keeps the last weights.
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

    epochs: float = setting(30, above=0)
    batch_size: int = setting(256, above=0)
    optimizer: Literal["muon", "adamw", "adam"] = "muon"
    learning_rate: float = setting(0.12, above=0)
    fallback_learning_rate: float | None = setting(None, above=0)
    head_learning_rate: float | None = setting(None, above=0)
    weight_decay: float = setting(0.0, least=0)
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup: float = setting(0.15, least=0, below=1)
    clip_norm: float = setting(10.0, least=0)
    ema_horizon: float = setting(0.02, least=0, below=1)
    crop: int = setting(2, least=0)
    small_images: float = setting(0.0, least=0, below=1)
    flip: Literal["random", "alternate", "none"] = "alternate"
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    shards: int = setting(1, above=0)
    compile: bool = False
    start: str | None = None
    max_minutes: float = setting(0.0, least=0)
    save_minutes: float = setting(1.0, least=0)
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("fallback_learning_rate", "head_learning_rate"):
            if self.optimizer != "muon" and getattr(self, name) is not None:
                raise UserError(f"Expected {name} with muon alone, found it with {self.optimizer}; leave it out.")
        if self.optimizer == "adam" and self.weight_decay:
            raise UserError("Expected no weight_decay with adam, which has none here; use adamw, or set it to 0.")
