"""Tiles give what one forward over the whole picture gives."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.batch import Output
from pellucid.inference import Predictor
from pellucid.inference import reach as reaching
from pellucid.inference.backend import Outputs
from pellucid.inference.pixels import Floats, to_floats
from pellucid.inference.reach import measure_reach
from pellucid.inference.tiling import Tiling, build_tiling, forward_in_tiles
from pellucid.inference.torch_backend import TorchBackend
from pellucid.models import DecoderConfig, EncoderConfig, ModelConfig, build_model
from pellucid.models.gate import Gate
from pellucid.models.predicting import Predicting

SMALL = EncoderConfig(widths=(8, 16), depths=(1, 1))

NETWORKS: dict[str, ModelConfig] = {
    "small": ModelConfig(encoder=SMALL),
    "patches and damage": ModelConfig(
        encoder=EncoderConfig(patch=2, widths=(8, 16, 16), depths=(1, 1, 1)), decoder=DecoderConfig(blocks=1), damage_head=True
    ),
    "standard stem": ModelConfig(encoder=replace(SMALL, stem="standard")),
    "paper": ModelConfig(encoder=SMALL, architecture="paper-listing"),
    "sequential": ModelConfig(encoder=SMALL, architecture="sequential"),
}


def network(config: ModelConfig) -> nn.Module:
    """With weights and statistics like those of a trained network: at its start a residual block does nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_model(config, 3, ("jpeg", "blur")).eval()
        for module in built.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.3)
                nn.init.normal_(module.running_mean, 0, 0.3)  # type: ignore[arg-type]
    return built


def picture(height: int, width: int, dtype: type = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (1, height, width, 3), dtype, endpoint=True)


def joined(strips: list[Outputs]) -> Outputs:
    return Outputs(*(None if part[0] is None else np.concatenate(part, 2) for part in zip(*strips, strict=True)))


def tiling_of(backend: TorchBackend, max_pixels: int) -> Tiling:
    return build_tiling(backend.reach(), backend.multiple, max_pixels)


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_tiles_match_the_untiled_result(name: str) -> None:
    net = TorchBackend(network(NETWORKS[name]))
    smallest = tiling_of(net, 1)
    pixels = picture(2 * smallest.side + 31, smallest.side + 45)
    whole, tiled = net(to_floats(pixels)), joined(list(forward_in_tiles(pixels, net, smallest)))
    assert tiled.restored is not None
    assert whole.restored is not None
    assert tiled.restored.shape == whole.restored.shape
    assert np.abs(tiled.restored - whole.restored).max() < 1e-4
    assert (tiled.mask is None) == (whole.mask is None)
    if tiled.mask is not None:
        assert whole.mask is not None
        assert np.abs(tiled.mask - whole.mask).max() < 1e-4
    near = Tiling(smallest.side, 0, smallest.multiple)
    spoiled = joined(list(forward_in_tiles(pixels, net, near))).restored
    assert spoiled is not None
    assert np.abs(spoiled - whole.restored).max() > 1e-4  # the reach is what does it


@torch.inference_mode()
def test_the_reach_is_the_receptive_field() -> None:
    net = network(NETWORKS["small"])
    reach = measure_reach(net, net.size_multiple)  # type: ignore[arg-type]
    assert reach is not None
    images = torch.rand(1, 3, 160, 160)
    changed = images.clone()
    changed[..., 80 : 80 + 4, 80 : 80 + 4] += 1
    rows = (net(images).restored != net(changed).restored).any(1).any(2).flatten().nonzero().flatten()
    assert max(80 - int(rows.min()), int(rows.max()) - 83) <= reach
    assert reach <= 40
    assert measure_reach(Predicting(net, mirror=True), 4) == reach


class Blind(nn.Module):
    """Restores nothing, classifies."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Output:
        return Output(logits=images.mean((2, 3)) * self.weight)


def test_a_classifier_reaches_nothing() -> None:
    assert measure_reach(Blind()) == 0


@torch.inference_mode()
def test_where_the_whole_image_counts_tiles_are_blended_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "LAST_SIDE", 256)

    class Global(Blind):
        def forward(self, images: Tensor) -> Output:
            return Output(restored=images.mean((2, 3), keepdim=True).expand_as(images))

    assert measure_reach(network(ModelConfig(encoder=SMALL, decoder=DecoderConfig(condition_on_class=True))), 4) is None
    net = TorchBackend(Global().eval())
    ramp = np.linspace(0, 255, 900).astype(np.uint8)[None, None, :, None].repeat(3, 3).repeat(300, 1)
    restored = joined(list(forward_in_tiles(ramp, net, tiling_of(net, 1)))).restored
    assert restored is not None
    steps = np.abs(np.diff(restored, axis=3))
    assert restored.max() - restored.min() > 0.3
    assert steps.max() < 0.02  # tiles side by side would differ by 0.2 at once


@pytest.mark.parametrize("length", [1, 100, 128, 129, 200, 255, 1000, 1003])
@pytest.mark.parametrize(("reach", "multiple"), [(0, 1), (16, 8), (24, 4)])
def test_weights_of_tiles_sum_to_one_and_cuts_do_not_count(length: int, reach: int, multiple: int) -> None:
    total = np.zeros(length, np.float32)
    for span in Tiling(128, reach, multiple).spans(length):
        assert span.start % multiple == 0
        assert 0 < span.stop - span.start <= 128
        if span.start:
            assert (span.weights[:reach] == 0).all()
        if span.stop < length:
            assert (span.weights[-reach or length :] == 0).all()
        total[span.start : span.stop] += span.weights
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_memory_bounds_the_tile_but_for_the_reach() -> None:
    net = TorchBackend(network(NETWORKS["small"]))
    assert tiling_of(net, 1_000_000).side == 1000
    small = tiling_of(net, 100)
    assert small.side >= 4 * small.reach


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_large_picture_takes_little_more_memory_than_its_results(dtype: type) -> None:
    """Beside the restored picture and its mask: the rows of one tile, and strips."""

    class Tile:
        stated, max_pixels, multiple = "a copy", 256**2, 8

        def __call__(self, images: Floats) -> Outputs:
            presence = np.full((len(images), 1), 9, np.float32)
            return Outputs(None, images, presence, presence, images[:, :1])

        def reach(self) -> int:
            return 24

    pixels = picture(2000, 3000, dtype)
    predictor = Predictor(Tile(), (), damages=("jpeg",), image_size=32, gate=Gate(presence=0.0, change=1e-9))
    predictor.tiling.spans(2000)
    tracemalloc.start()
    try:
        [prediction] = predictor.predict(pixels[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert prediction.restored is not None
    assert prediction.mask is not None
    np.testing.assert_array_equal(prediction.restored, pixels[0])
    results = prediction.restored.nbytes + prediction.mask.nbytes
    assert peak - results < 6 * 2000 * 3000
