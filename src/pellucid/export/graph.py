"""The core of a joint network -> an ONNX graph with dynamic batch, height and width."""

import contextlib
import io
import logging
import textwrap
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.errors import UserError
from pellucid.inference.exported import INPUT
from pellucid.models.joint import JointNet

OPSET = 18
"""The version of ONNX's operators: the oldest that torch's exporter writes without conversion."""


class _Core(nn.Module):
    """`JointNet.core` as a tuple without the fields that have no head."""

    def __init__(self, network: JointNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(each for each in self.network.core(images) if each is not None)


def core_of(network: nn.Module, source: str) -> JointNet:
    """The network, if it can be exported; raises `UserError` for the baselines of experiments."""
    if not isinstance(network, JointNet):
        raise UserError(
            f"Expected a model of architecture 'joint' to export, found {type(network).__name__} in {source}; export the joint one, or "
            "predict with torch."
        )
    return network


@torch.inference_mode()
def output_names(network: JointNet) -> list[str]:
    """The names of the network's outputs, fields of `Output`."""
    side = 4 * network.size_multiple
    output = network.core(torch.zeros(1, 3, side, side))
    return [name for name, each in zip(Output._fields, output, strict=True) if each is not None]


def write_graph(network: JointNet, path: Path) -> None:
    """Write the network as an ONNX file; raises `UserError` if torch's exporter can't trace it."""
    multiple = network.size_multiple
    batch, height, width = (torch.export.Dim(name) for name in ("batch", "height", "width"))
    sizes = {0: batch, 2: multiple * height, 3: multiple * width}
    example = torch.rand(2, 3, 8 * multiple, 6 * multiple)
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            program = torch.onnx.export(
                _Core(network).eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=(sizes,),
                input_names=[INPUT],
                output_names=output_names(network),
                opset_version=OPSET,
                verbose=False,
            )
        assert program is not None
        program.save(path)
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        reason = textwrap.shorten(str(error.__cause__ or error), 200)
        raise UserError(
            f"Expected a network that torch can export to ONNX, found one that it can't ({reason}); predict with torch."
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
