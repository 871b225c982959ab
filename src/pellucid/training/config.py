"""The settings of training, readable without loading torch."""

from dataclasses import dataclass
from typing import Literal

from pellucid.errors import UserError
from pellucid.settings import Settings, setting


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """Settings of the training loop and the optimiser.

    Args:
        epochs: passes over the training images, possibly fractional.
        batch_size: images per step, summed over all devices.
        optimizer: `muon` orthogonalises updates of hidden convolutions (Jordan et al. 2024), with NAdamW for the rest; `adamw`; `adam`.
        learning_rate: of the optimiser; with `muon`, of the hidden convolutions.
        fallback_learning_rate: with `muon`, of other parameters, such as scales and biases; default `learning_rate` / 10.
        head_learning_rate: with `muon`, of output layers; default `fallback_learning_rate`.
        weight_decay: decoupled, on convolutions and linear layers; not available with `adam`.
        schedule: after the warm-up, `cosine` or `linear` decay of the learning rate to 0, or a `constant` learning rate.
        warmup: fraction of the training with linear warm-up from 0.
        clip_norm: maximum norm of the gradient; 0 for no clipping.
        ema_horizon: time constant of the exponential moving average of the weights, as a fraction of the training; 0 for no averaging.
        crop: maximum shift of random crops in pixels, with reflect padding; 0 for none.
        small_images: fraction of the training, at its start, with images downsampled to three quarters of their side, for faster steps.
        flip: horizontal flips: `random`, of half of the images; `alternate`, in every other epoch (Jordan 2024, airbench); `none`.
        precision: `bf16-mixed` or `32-true` (Fabric's names); `auto` is bfloat16 where the device supports it natively, else float32; a
            resumed run keeps its precision.
        shards: parts of a batch that a CPU computes in parallel threads, with separate batch normalisation; 1 for whole batches. Ignored on
            other devices, with several processes, with `compile` and with a balance other than `fixed`.
        compile: `torch.compile` the network; faster on a GPU, rarely on a CPU.
        start: model whose weights initialise the network, given as for `pellucid evaluate`; its architecture must be the same, but that it
            may have fewer channels and residual blocks, and so must the images that are held out, if any.
        shuffle_guidance: condition the decoder on another image of the batch: the control of `condition_on_class` and
            `condition_on_damage`.
        max_minutes: time limit of the training; the schedule is shortened to fit; 0 for no limit.
        save_minutes: interval between saves of the state for `--resume`.
        seed: of the weights, the order, the crops and flips, and the damage.
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
    shuffle_guidance: bool = False
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
