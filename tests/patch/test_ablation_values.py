from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.patch.ablation_values import (
    along,
    matched_noise,
    mean_of_others,
    mean_of_rows,
    zeros,
)

STATES = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]], [[8.0, 0.0]]])


def test_means_by_hand() -> None:
    assert mean_of_rows(STATES).tolist() == [[[4, 2]]] * 3
    assert mean_of_others(STATES).tolist() == [[[5.5, 2]], [[4.5, 1]], [[2, 3]]]
    with pytest.raises(WorkbenchError, match="at least two questions"):
        mean_of_others(STATES[:1])


def test_zeros_have_the_layout() -> None:
    assert zeros(STATES).tolist() == [[[0, 0]]] * 3


def test_noise_is_as_long_as_the_difference_and_drawn_by_seed() -> None:
    base = torch.zeros((4, 3, 64))
    donor = torch.randn((4, 3, 64), generator=torch.Generator().manual_seed(1))
    noise = matched_noise(base, donor, seed=2)
    torch.testing.assert_close(noise.norm(dim=-1), donor.norm(dim=-1))
    assert torch.equal(noise, matched_noise(base, donor, seed=2))
    assert not torch.equal(noise, matched_noise(base, donor, seed=3))
    cosine = torch.nn.functional.cosine_similarity(noise, donor, dim=-1)
    assert cosine.abs().max() < 0.6


def test_a_direction_has_the_length_asked_for() -> None:
    value = along(torch.tensor([3.0, 4.0]), 10.0, rows=2)
    assert value.tolist() == [[6, 8]] * 2
    with pytest.raises(WorkbenchError, match="length zero"):
        along(torch.zeros(2), 1.0, rows=2)
