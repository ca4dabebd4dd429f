"""Edges cut in every window of layers, against one knockout at a time."""

from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch import (
    ModelInputs,
    Reading,
    contrast,
    every_window,
    knock_out_windows,
    layer_windows,
    other_keys,
)
from workbench.trace import AttentionKnockout, loop_branches

PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23, 24]]
QUERIES, KEYS = torch.tensor([[7], [4]]), torch.tensor([[2, 3], [1, 1]])
METRIC = contrast([5], [6])


def test_windows_are_neighbours_of_one_width() -> None:
    assert layer_windows([1, 3, 4, 7], 3) == [(1, 3, 4), (3, 4, 7)]
    assert layer_windows(range(3), 1) == [(0,), (1,), (2,)]
    for width in (0, 4):
        with pytest.raises(WorkbenchError, match="spans 1 to 3"):
            layer_windows(range(3), width)


def test_each_window_is_its_own_knockout(tiny_lm: LanguageModel) -> None:
    reading = Reading(METRIC, 1000)
    for heads in (None, [1]):
        windows = every_window(tiny_lm, 2)
        found = knock_out_windows(
            ModelInputs(tiny_lm, PROMPTS), QUERIES, KEYS, reading, windows=windows, heads=heads
        )
        assert found.axes[0].labels == (0, 1, 2)
        assert found.patched.shape == (2, 3)
        for number, window in enumerate(windows):
            branch = [AttentionKnockout(QUERIES, KEYS, window, None if heads is None else (1,))]
            one = loop_branches(
                tiny_lm, PROMPTS, [branch], METRIC.readout, tokens_per_forward=1000
            ).patched[:, 0]
            assert float((found.patched[:, number] - one).abs().max()) < 1e-4
        assert float((found.patched - found.base[:, None]).abs().min()) > 1e-4


def test_windows_of_one_first_layer_are_refused(tiny_lm: LanguageModel) -> None:
    inputs, reading = ModelInputs(tiny_lm, PROMPTS), Reading(METRIC, 1000)
    for windows in ([], [(0,), (0, 1)]):
        with pytest.raises(WorkbenchError, match="no two with the same first"):
            knock_out_windows(inputs, QUERIES, KEYS, reading, windows=windows)
    with pytest.raises(WorkbenchError, match="Layer 4 does not exist"):
        knock_out_windows(inputs, QUERIES, KEYS, reading, windows=[(3, 4)])


def test_the_control_hides_as_many_other_earlier_tokens() -> None:
    queries, keys = torch.tensor([[9, 8]] * 40), torch.tensor([[3, 5, 3]] * 40)
    drawn = other_keys(queries, keys, seed=1)
    assert {*drawn.flatten().tolist()} == {1, 2, 4, 6, 7}
    assert bool((drawn[:, 0] == drawn[:, 2]).all())
    assert bool((drawn[:, 0] != drawn[:, 1]).all())
    assert torch.equal(drawn, other_keys(queries, keys, seed=1))
    assert not torch.equal(drawn, other_keys(queries, keys, seed=2))
    with pytest.raises(WorkbenchError, match="Prompt 0 has 1 other tokens"):
        other_keys(torch.tensor([[4]]), torch.tensor([[2, 3]]), seed=0)
