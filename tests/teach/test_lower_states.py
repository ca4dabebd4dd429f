from __future__ import annotations

import warnings

import pytest
import torch

from workbench.teach.lower_states import FrozenStates, own_states, placed


def test_rows_come_back_at_their_beginnings() -> None:
    states = torch.arange(24.0).reshape(2, 4, 3)
    parts = own_states(states, (0, 2), (3, 2))
    again = placed(parts, (0, 2), 4, torch.device("cpu"))
    assert torch.equal(again[0, :3], states[0, :3])
    assert torch.equal(again[1, 2:], states[1, 2:])
    assert again[0, 3:].abs().sum() == again[1, :2].abs().sum() == 0


def test_what_is_kept_is_a_copy_within_the_bound() -> None:
    frozen, states = FrozenStates(50), torch.ones(2, 3)
    frozen.keep(7, states)
    frozen.keep(7, states)
    states.zero_()
    assert frozen.bytes == 24
    assert frozen[7].sum() == 6
    frozen.keep(8, torch.ones(2, 3))
    assert not frozen.full
    with pytest.warns(
        UserWarning, match=r"States of 2 examples fill the 0\.0 GB of teach\.activation_cache_bytes"
    ):
        frozen.keep(9, torch.ones(1, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frozen.keep(10, torch.ones(1, 3))
    assert (8 in frozen, 9 in frozen, 10 in frozen, frozen.full) == (True, False, False, True)
