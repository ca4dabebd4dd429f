"""A swap of kept states is that of the packed engine, and its gradient that of differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import Metric
from workbench.subspaces.rotation import Boundless, Rotation
from workbench.subspaces.swapped_readings import SwappedReadings
from workbench.trace import Patch, Site, Subspace, TokenTree, record

ROWS = [list(range(5, 14)), [60, 61, 62], list(range(30, 37)), [90, 91]]
TREE = TokenTree((40, 41), (-1, 0))
PARTNER = np.array([1, 2, 3, 0])


def mean_of_three(reduced: torch.Tensor) -> torch.Tensor:
    return reduced.double().mean(dim=(1, 2))


METRIC = Metric(lambda logits: logits[:, :9].float().tanh(), mean_of_three, TREE)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt_neox"])
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_a_swap_is_the_packed_engines(make_tiny: Any, family: str, layer: int) -> None:
    lm = make_tiny(family)
    inputs = ModelInputs(lm, ROWS)
    readings = SwappedReadings(inputs, METRIC, layer, tokens_per_forward=30)
    assert len(readings.batches) > 1
    ends = torch.tensor([len(row) - 1 for row in ROWS])
    at = [[int(end) + k for k in range(3)] for end in ends]
    states = record(lm, ROWS, at, [Site(layer)], tree=TREE)[:, 0]
    plane = Subspace(torch.randn((32, 2), generator=torch.Generator().manual_seed(1)))
    partner = torch.as_tensor(PARTNER)
    branches = [
        [Patch(Site(layer), ends + k, states[partner, k], mode, span) for k in range(3)]
        for mode, span in (("within", plane), ("replace", None))
    ]
    wanted = Reading(METRIC, 1000).values(inputs, branches)
    assert readings.values == pytest.approx(wanted.base.numpy(), abs=1e-5)
    assert readings.swap(plane, PARTNER) == pytest.approx(wanted.patched[:, 0].numpy(), abs=1e-5)
    assert readings.swap(None, PARTNER) == pytest.approx(wanted.patched[:, 1].numpy(), abs=1e-5)
    own = np.arange(4)
    assert readings.swap(plane, own) == pytest.approx(readings.values, abs=1e-5)


def test_the_gradient_of_what_is_written_is_that_of_differences(tiny_lm: Any) -> None:
    readings = SwappedReadings(ModelInputs(tiny_lm, ROWS), METRIC, 1, tokens_per_forward=1000)
    (number, rows) = next(readings.rows())
    states = readings.states[rows].clone().requires_grad_()
    readings.read(number, states, gradients=True)[0].backward()
    assert states.grad is not None
    step = torch.zeros_like(states)
    step[0, 0] = torch.randn(32, generator=torch.Generator().manual_seed(2))
    moved = [
        float(readings.read(number, states.detach() + sign * 1e-2 * step)[0]) for sign in (1, -1)
    ]
    slope = float((states.grad * step).sum())
    assert slope == pytest.approx((moved[0] - moved[1]) / 2e-2, rel=2e-2)
    assert float(states.grad[1:].abs().max()) == 0.0


def test_a_seed_gives_the_same_directions_whatever_else_was_drawn() -> None:
    one = Rotation(16, 3, None, seed=4).basis.detach()
    torch.rand(7)
    torch.testing.assert_close(Rotation(16, 3, None, seed=4).basis.detach(), one, rtol=0, atol=0)
    assert not torch.allclose(Rotation(16, 3, None, seed=5).basis.detach(), one)


def test_directions_stay_orthonormal_and_a_boundary_hardens() -> None:
    rotation = Rotation(16, 4, Boundless(most=4, hottest=4.0, coldest=0.05), seed=0)
    optimiser = torch.optim.Adam(rotation.parameters(), lr=0.1)
    states, donors = torch.randn(2, 8, 1, 16, generator=torch.Generator().manual_seed(1))
    for _ in range(5):
        optimiser.zero_grad()
        (rotation.swapped(states, donors, 0.0).square().sum() + rotation.penalty()).backward()
        optimiser.step()
    gram = rotation.basis.detach().T @ rotation.basis.detach()
    torch.testing.assert_close(gram, torch.eye(4), atol=1e-5, rtol=0)
    rotation.boundary.data.fill_(0.0)  # half of four directions
    hard = rotation.subspace()
    assert hard.rank == 2
    soft = rotation.swapped(states, donors, 1.0).detach()
    torch.testing.assert_close(soft, hard.change(states, donors, 0.0), atol=2e-3, rtol=0)
