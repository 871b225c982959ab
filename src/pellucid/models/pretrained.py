"""Pretrained weights of encoders: from a file, or from the Hugging Face hub."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pellucid.errors import UserError
from pellucid.hub_access import hub_reachable
from pellucid.models.lean_timm import timm

WRAPPERS = ("state_dict", "model", "model_state")
"""Keys under which training scripts put the weights in their checkpoints."""


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """The weights of a timm encoder in a file, safetensors or a checkpoint of PyTorch without code, under timm's names.

    Weights under other names are taken in their order where all shapes agree. Raises `UserError`.
    """
    tensors = _tensors(path)
    with torch.device("meta"):
        network = timm.create_model(name)
    wanted = _without_counters(network.state_dict())
    shapes = {each: tensor.shape for each, tensor in wanted.items()}
    if shapes.items() <= {each: tensor.shape for each, tensor in tensors.items()}.items():
        return {each: tensors[each] for each in wanted}
    if list(shapes.values()) == [tensor.shape for tensor in tensors.values()]:
        return dict(zip(wanted, tensors.values(), strict=True))
    num_fitting = sum(each in tensors and tensors[each].shape == shape for each, shape in shapes.items())
    raise UserError(
        f"Expected the weights of {name} in {path}, {len(wanted)} tensors, found {len(tensors)}, of which {num_fitting} have its names and "
        "shapes; name the encoder that they belong to by model.encoder.name."
    )


def require_hub(name: str) -> None:
    """Raise `UserError` at once where timm's weights are neither in the cache nor can be downloaded."""
    from huggingface_hub import constants, try_to_load_from_cache

    source = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if source is None or not source.hf_hub_id:
        raise UserError(f"Expected an encoder with pretrained weights, found that timm has none for {name}; set pretrained to false.")
    if isinstance(try_to_load_from_cache(source.hf_hub_id, source.hf_hub_filename or "model.safetensors"), str):
        return
    if not hub_reachable():
        raise UserError(
            f"Expected to download the pretrained weights of {name} from {constants.ENDPOINT}, found that it can't be reached (no network, "
            "or HF_HUB_OFFLINE is set); give a file by model.encoder.weights, or set model.encoder.pretrained to false."
        )


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"Expected weights in {path} (safetensors, or a state dict), found a file that can't be read: {reason}") from error
    for wrapper in WRAPPERS:
        content = content[wrapper] if isinstance(content, dict) and isinstance(content.get(wrapper), dict) else content
    if not isinstance(content, dict) or not content or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise UserError(f"Expected a state dict in {path}, a name and a tensor for each weight, found something else; save it anew.")
    if broken := [each for each, tensor in content.items() if tensor.is_floating_point() and not tensor.isfinite().all()]:
        raise UserError(
            f"Expected finite weights in {path}, found others in {len(broken)} tensors, such as {broken[0]}; copy the file again."
        )
    return _without_counters({str(each).removeprefix("module."): tensor for each, tensor in content.items()})


def _without_counters(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the numbers of batches that normalisation layers count and not every file has."""
    return {each: tensor for each, tensor in tensors.items() if not each.endswith("num_batches_tracked")}
