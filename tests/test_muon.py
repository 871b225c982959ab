"""Muon: orthogonal updates."""

import pytest
import torch
from timm.optim.muon import Muon as TimmMuon
from torch import nn

from pellucid.training.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(2, 8, 72), (1, 48, 12), (3, 16, 16), (1, 1, 9)], ids=str)
def test_singular_values_go_to_one_and_directions_stay(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalise(matrices)
    values = torch.linalg.svdvals(result)
    assert result.shape == shape
    assert values.max() < 1.5
    assert values.median(dim=1).values.min() > 0.7
    assert values.min() > 0.15
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    middle = left.mT @ result @ right.mT  # the same singular vectors: nothing beside the diagonal
    assert (middle - torch.diag_embed(middle.diagonal(dim1=1, dim2=2))).abs().max() < 1e-4


def test_the_scale_of_a_gradient_does_not_matter() -> None:
    matrices = torch.randn(1, 6, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalise(1e-6 * matrices), orthogonalise(matrices), rtol=1e-3, atol=1e-4)
    assert torch.equal(orthogonalise(torch.zeros(1, 3, 5)), torch.zeros(1, 3, 5))


def test_steps_are_timms(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its bfloat16."""
    from timm.optim import muon

    usual = muon.zeropower_via_newtonschulz
    monkeypatch.setattr(
        muon, "zeropower_via_newtonschulz", lambda *arguments, **settings: usual(*arguments, **settings, dtype=torch.float32)
    )
    ours, theirs = (nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)).double() for _ in range(2))
    ours.float().load_state_dict(theirs.float().state_dict())
    mine = Muon(
        [
            {"params": [each for each in ours.parameters() if each.ndim == 4], "lr": 0.1, "weight_decay": 0.01, "orthogonal": True},
            {"params": [each for each in ours.parameters() if each.ndim == 1], "lr": 0.01, "weight_decay": 0.0, "orthogonal": False},
        ]
    )
    other = TimmMuon(
        [
            {"params": [each for each in theirs.parameters() if each.ndim == 4], "use_fallback": False},
            {"params": [each for each in theirs.parameters() if each.ndim == 1], "use_fallback": True, "lr": 0.01, "weight_decay": 0.0},
        ],
        lr=0.1, weight_decay=0.01, momentum=0.6, nesterov=True, ns_steps=3, adjust_lr_fn="original", betas=(0.9, 0.99),
    )  # fmt: skip
    images = torch.rand(4, 3, 12, 12)
    for _ in range(5):
        for model, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)
