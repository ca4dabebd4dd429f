from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.patch.controls import (
    CONDITIONS,
    Condition,
    Recorded,
    control_layers,
    derangement,
    donor_readouts,
    donor_states,
)

NAMED = {condition.name: condition for condition in CONDITIONS}
ITEMS, LAYERS, WIDTH = 4, 3, 5
PARTNER = np.array([2, 0, 3, 1])


def recorded() -> Recorded:
    """Base states are item + layer / 10 + place / 100, tuned states those plus 50 + item; place
    0 is the random one.
    """
    item = torch.arange(ITEMS, dtype=torch.float32)[:, None, None, None]
    layer = torch.arange(LAYERS)[None, :, None, None] / 10
    place = torch.arange(3)[None, None, :, None] / 100
    base = (item + layer + place).expand(-1, -1, -1, WIDTH)
    return Recorded(base=base, tuned=base + 50 + item)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("own_tuned", [56.01, 52.01]),
        ("other_tuned", [52.01, 50.01]),
        ("reverse", [3.01, 1.01]),
        ("own_base", [3.01, 1.01]),
        ("other_base", [1.01, 0.01]),
        ("random_position", [56.0, 52.0]),
    ],
)
def test_whose_state_is_written(name: str, expected: list[float]) -> None:
    """Items 3 and 1, whose partners are 1 and 0; behind layer 0, then a tenth more per layer."""
    states = donor_states(NAMED[name], recorded(), np.array([3, 1]), PARTNER, seed=0)
    assert states.shape == (2, LAYERS, 1 if name == "random_position" else 2, WIDTH)
    for layer in range(LAYERS):
        for row, value in enumerate(expected):
            torch.testing.assert_close(
                states[row, layer, 0], torch.full((WIDTH,), value + layer / 10)
            )


def test_a_random_vector_is_as_long_as_the_own_donors_difference() -> None:
    states, items = recorded(), np.arange(ITEMS)
    random = donor_states(NAMED["random_vector"], states, items, PARTNER, seed=1)
    away = (random - states.base[:, :, 1:])[:, :, 0]
    expected = (50 + torch.arange(ITEMS))[:, None].expand(-1, LAYERS) * WIDTH**0.5
    torch.testing.assert_close(away.norm(dim=-1), expected, rtol=1e-4, atol=1e-4)
    unit = (away / away.norm(dim=-1, keepdim=True)).flatten(0, 1)
    assert (unit @ unit.T - torch.eye(len(unit))).abs().max() < 1 - 1e-3


def test_random_vectors_depend_on_the_seed_and_not_on_the_batch() -> None:
    states, condition = recorded(), NAMED["random_vector"]
    whole = donor_states(condition, states, np.arange(ITEMS), PARTNER, seed=1)
    part = donor_states(condition, states, np.array([2, 0]), PARTNER, seed=1)
    assert torch.equal(part, whole[[2, 0]])
    assert not torch.equal(
        donor_states(condition, states, np.arange(ITEMS), PARTNER, seed=2), whole
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("own_tuned", [10, 11, 12, 13]),
        ("other_tuned", [12, 10, 13, 11]),
        ("random_vector", [10, 11, 12, 13]),
        ("random_position", [10, 11, 12, 13]),
        ("reverse", [0, 1, 2, 3]),
        ("own_base", [0, 1, 2, 3]),
        ("other_base", [2, 0, 3, 1]),
    ],
)
def test_the_donors_readout_is_that_of_the_run_the_state_comes_from(
    name: str, expected: list[float]
) -> None:
    base = np.arange(4.0)
    assert donor_readouts(NAMED[name], base, base + 10, PARTNER).tolist() == expected


def test_which_run_is_patched_and_where() -> None:
    assert [name for name, row in NAMED.items() if row.into_tuned] == ["reverse"]
    assert [name for name, row in NAMED.items() if row.random_position] == ["random_position"]
    assert [name for name, row in NAMED.items() if row.all_layers][:1] == ["own_tuned"]
    assert len(NAMED) == len(CONDITIONS)
    assert all(isinstance(row, Condition) for row in CONDITIONS)


@given(st.integers(2, 60), st.integers(0, 10_000))
def test_no_item_is_its_own_partner_and_each_is_one(items: int, seed: int) -> None:
    partner = derangement(items, seed)
    assert sorted(partner.tolist()) == list(range(items))
    assert (partner != np.arange(items)).all()
    assert (partner == derangement(items, seed)).all()


def test_one_question_has_no_other() -> None:
    with pytest.raises(WorkbenchError, match=r"at least two questions; raise patch\.n_questions"):
        derangement(1, 0)


@given(st.integers(2, 80), st.integers(2, 20))
def test_control_layers_are_spread_evenly_with_both_ends(layers: int, count: int) -> None:
    chosen = control_layers(list(range(10, 10 + layers)), count)
    assert len(chosen) == min(layers, count)
    assert chosen[0] == 10
    assert chosen[-1] == 9 + layers
    gaps = np.diff(chosen)
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_recorded_states_share_a_shape() -> None:
    four = torch.zeros((2, 3, 2, 5))
    for base, tuned in ((four, four[:1]), (four[:, :, :1], four[:, :, :1]), (four[0], four[0])):
        with pytest.raises(WorkbenchError, match="must share one"):
            Recorded(base, tuned)
