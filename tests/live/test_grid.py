"""Cells come coarse to fine, each once, and agreement is measured on the true ones."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.live.grid import MOST_TOGETHER, coarse_to_fine, rank_agreement
from workbench.live.lines import plain
from workbench.live.session import align


@pytest.mark.parametrize("count", [1, 2, 4, 12, 30, 61])
def test_every_layer_comes_once_and_the_ends_come_first(count: int) -> None:
    groups = coarse_to_fine(count)
    flat = [layer for group in groups for layer in group]
    assert sorted(flat) == list(range(count))
    assert {0, count - 1} <= {*groups[0], *groups[min(1, len(groups) - 1)]}
    assert max(map(len, groups)) <= MOST_TOGETHER


def test_layers_of_thirty() -> None:
    assert coarse_to_fine(30)[:3] == [
        [0, 8, 16, 24, 29],
        [4, 12, 20, 28],
        [2, 6, 10, 14, 18, 22, 26],
    ]


def test_agreement_is_of_the_cells_that_are_true() -> None:
    estimate = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert np.isnan(rank_agreement(estimate, np.array([[1.0, 2.0], [np.nan, np.nan]])))
    assert rank_agreement(estimate, np.array([[1.0, 5.0], [9.0, np.nan]])) == pytest.approx(1)
    assert rank_agreement(estimate, np.array([[4.0, 3.0], [2.0, 1.0]])) == pytest.approx(-1)


def test_texts_of_other_lengths_are_aligned_at_both_ends() -> None:
    assert align([1, 2, 9, 4], [1, 2, 8, 4]) == (0, 1, 2, 3)
    assert align([1, 2, 9, 4, 5], [1, 2, 7, 8, 4, 5]) == (0, 1, 3, 4, 5)
    assert align([1, 2, 7, 8, 4, 5], [1, 2, 9, 4, 5]) == (0, 1, None, 2, 3, 4)


def test_numbers_that_json_lacks_become_null() -> None:
    found = plain({"a": np.array([1.0, np.nan]), "b": (np.float32(0.5), float("inf"), "x", None)})
    assert found == {"a": [1.0, None], "b": [0.5, None, "x", None]}
