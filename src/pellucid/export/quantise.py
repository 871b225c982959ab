"""int8 quantisation: calibrated on degraded images, and evaluated against float32 on held-out images."""

import contextlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.batch import Output
from pellucid.data import Dataset
from pellucid.evaluation.evaluate import batches, evaluate
from pellucid.evaluation.tracks import Track
from pellucid.inference.backend import Backend
from pellucid.inference.exported import INPUT, require
from pellucid.models.joint import pad_to_multiple

NUM_CALIBRATION, CALIBRATION_PIXELS = 256, 4_000_000
"""Maximum number of calibration images, and of their pixels in total."""

CALIBRATION_BATCH_PIXELS = 32 * 1024
"""Maximum number of pixels of a calibration batch, whose feature maps are all in memory."""

NUM_MEASURED, MEASURED_PIXELS = 5_000, 50_000_000
"""Maximum number of evaluation images, and of their pixels in total."""

MAX_POINTS, MAX_DB = 0.3, 0.2
"""Maximum acceptable loss: points of accuracy, dB of PSNR."""

FLOAT32_CHANNELS = 4
"""Convolutions with at most this number of input or output channels stay float32: image, residual, mask. They take little time."""

FLOAT32_LAYERS = 2
"""Number of last convolutions before the restored image that stay float32. On 2,000 training images with damage `everyday`, int8 cost the
bundled model of 2026-11-26 0.13 dB with none or one kept, 0.004 dB with the last two, nothing with the last three; the third one, of 64
channels, is a tenth of the network's operations. The first convolutions stay float32 too: with 7-bit weights, the first one alone cost
0.4 dB."""


@dataclass(frozen=True, slots=True)
class QuantisationCost:
    """The loss of int8 against float32; `str` is a sentence.

    accuracy: loss in percentage points; psnr: loss in dB; `None` for a task that the model lacks; images: description of the images.
    """

    accuracy: float | None
    psnr: float | None
    images: str

    def __str__(self) -> str:
        parts = [] if self.accuracy is None else [f"{self.accuracy:.2f} points of accuracy"]
        parts += [] if self.psnr is None else [f"{self.psnr:.2f} dB"]
        return f"int8 costs {' and '.join(parts)}, on {self.images}."

    @property
    def acceptable(self) -> bool:
        """Whether the loss is within `MAX_POINTS` and `MAX_DB`."""
        return (self.accuracy is None or self.accuracy <= MAX_POINTS) and (self.psnr is None or self.psnr <= MAX_DB)


def quantise(graph: Path, target: Path, train: Dataset, track: Track, multiple: int) -> None:
    """Write a graph with int8 convolutions (QDQ), its ranges from training images with the damage of a track; multiple: see `JointNet`."""
    onnx, tool = require("onnx", "onnx", "for int8"), require("onnxruntime.quantization", "onnx", "for int8")
    prepare = require("onnxruntime.quantization.shape_inference", "onnx", "for int8").quant_pre_process
    height, width = train.size
    num = max(1, min(NUM_CALIBRATION, CALIBRATION_PIXELS // (height * width), len(train)))
    size = max(1, min(num, CALIBRATION_BATCH_PIXELS // (height * width)))
    num -= num % size
    images = [pad_to_multiple(batch.degraded, multiple).numpy() for batch in batches(train, track, track.levels[0], num, size)]

    class Reader(tool.CalibrationDataReader):  # type: ignore[misc, name-defined]
        """The images, a batch at a time: the strides keep the feature maps of one batch in memory."""

        def __init__(self) -> None:
            self.set_range(0, len(images))

        def __len__(self) -> int:
            return len(images)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._waiting = iter(images[start_index:end_index])

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._waiting, None)
            return None if batch is None else {INPUT: batch}

    prepared = graph.with_name("prepared.onnx")
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # ONNX Runtime prints its progress
            prepare(str(graph), str(prepared), skip_symbolic_shape=True)
            tool.quantize_static(
                str(prepared),
                str(target),
                Reader(),
                quant_format=tool.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Relu"],  # with its Relu, the range of a convolution is that of what is kept
                per_channel=True,
                reduce_range=True,  # without VNNI, x86 adds pairs of products in 16 bits: with 8-bit weights they saturate
                activation_type=tool.QuantType.QUInt8,
                weight_type=tool.QuantType.QInt8,
                nodes_to_exclude=_kept(onnx.load(prepared)),
                calibrate_method=tool.CalibrationMethod.Percentile,
                extra_options={"CalibStridedMinMax": 1},
            )
    finally:
        logging.disable(disabled)
        prepared.unlink(missing_ok=True)


def measure_cost(int8: Backend, float32: Backend, held_out: Dataset, track: Track) -> QuantisationCost:
    """The loss of accuracy and PSNR of int8 on the same degraded images."""
    height, width = held_out.size
    limit = max(1, min(NUM_MEASURED, MEASURED_PIXELS // (height * width)))
    size = max(1, min(100, CALIBRATION_BATCH_PIXELS * 8 // (height * width)))
    before, after = (evaluate(as_model(each), held_out, track, limit=limit, batch_size=size) for each in (float32, int8))
    lost = [
        None if (one := before.metrics[name]) is None or (other := after.metrics[name]) is None else one - other
        for name in ("accuracy", "psnr")
    ]
    return QuantisationCost(lost[0], lost[1], f"{before.images} with the damage of track {track.name}")


def as_model(backend: Backend) -> Callable[[Tensor], Output]:
    """A backend as a function of tensors, such as `evaluate` takes."""
    return lambda images: Output(*(None if each is None else torch.from_numpy(each) for each in backend(images.numpy())))


def _kept(model: Any) -> list[str]:
    """Names of the convolutions that stay float32: the first ones, and see `FLOAT32_LAYERS` and `FLOAT32_CHANNELS`."""
    weights = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    shapes = {node.name: weights.get(node.input[1], ()) for node in model.graph.node if node.op_type == "Conv"}
    narrow = {name for name, shape in shapes.items() if not shape or min(shape[:2]) <= FLOAT32_CHANNELS}
    return sorted(narrow | _first(model) | _last(model, FLOAT32_LAYERS))


def _first(model: Any) -> set[str]:
    """Names of the convolutions without another one before them."""
    first, later = set(), set[str]()
    for node in model.graph.node:  # in topological order
        is_first = node.op_type == "Conv" and later.isdisjoint(node.input)
        if is_first:
            first.add(node.name)
        if is_first or not later.isdisjoint(node.input):
            later.update(node.output)
    return first


def _last(model: Any, most: int) -> set[str]:
    """Names of the convolutions with at most `most` convolutions, including themselves, on a path to the restored image."""
    producers = {output: node for node in model.graph.node for output in node.output}
    waiting, least = [("restored", 0)], dict[str, int]()
    while waiting:
        value, depth = waiting.pop()
        if value not in producers or least.get(value, most + 1) <= depth:
            continue
        least[value] = depth
        node = producers[value]
        after = depth + (node.op_type == "Conv")
        if after <= most:
            waiting += [(each, after) for each in node.input]
    return {producers[value].name for value, depth in least.items() if producers[value].op_type == "Conv" and depth < most}
