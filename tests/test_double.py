"""On a device without float64, such as MPS, training computes in float32; played on the CPU, where float64 is forbidden."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pellucid.degradations import SUITES
from pellucid.double import double
from pellucid.metrics.ssim import ssim_of
from pellucid.seeding import generator
from pellucid.training.gradients import compare_gradients


class WithoutFloat64(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, _types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> Any:
        result = function(*arguments, **(named or {}))
        if function is torch.ops.aten.lift_fresh.default:  # of an array of NumPy's, which is on the CPU
            return result
        if any(isinstance(each, torch.Tensor) and each.dtype == torch.float64 for each in tree_leaves(result)):
            raise TypeError(f"Expected no float64, found the result of {function}.")
        return result


@pytest.fixture
def _device_without_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(double, "__code__", (lambda values: values.float()).__code__)  # wherever it was imported
    with WithoutFloat64():
        yield


def test_elsewhere_values_are_in_float64() -> None:
    assert double(torch.ones(1)).dtype == torch.float64
    with WithoutFloat64(), pytest.raises(TypeError, match="Expected no float64"):
        double(torch.ones(1))


@pytest.mark.usefixtures("_device_without_float64")
@pytest.mark.parametrize("name", SUITES)
def test_images_are_damaged_in_float32(name: str) -> None:
    images = torch.rand(24, 3, 32, 32, generator=generator("images"))
    damaged, _ = SUITES[name](images, generator(name))
    assert damaged.dtype == torch.float32
    assert not bool(damaged.isnan().any())


@pytest.mark.usefixtures("_device_without_float64")
def test_gradients_are_compared_in_float32() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    shared = {"encoder.network.stem": weight}
    compared = compare_gradients(weight[0] * 3, weight.sum() * 2, shared, lambda loss, **options: loss.backward(**options))
    assert compared.cosine["all"] == pytest.approx(0.5**0.5)


@pytest.mark.usefixtures("_device_without_float64")
def test_pictures_are_compared_in_float32() -> None:
    images = torch.rand(2, 3, 16, 16, generator=generator("images"))
    assert ssim_of(images, images).tolist() == pytest.approx([1, 1])
