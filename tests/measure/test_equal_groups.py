from __future__ import annotations

import numpy as np
import pytest

from workbench.measure.equal_groups import equal_groups


def test_few_values_are_groups_by_themselves_and_missing_ones_the_first() -> None:
    found = equal_groups(np.array([0.5, np.nan, 0.1, 0.9, 0.5]), 8)
    assert found.tolist() == [2, 0, 1, 3, 2]


@pytest.mark.parametrize("size", [50, 51, 333])
def test_many_values_are_cut_at_numpys_quantiles(size: int) -> None:
    scores = np.random.default_rng(size).random(size)
    edges = np.quantile(scores, np.linspace(0, 1, 9)[1:-1])
    assert equal_groups(scores, 8).tolist() == np.searchsorted(edges, scores, "right").tolist()


def test_a_repeated_score_counts_as_often_as_it_stands_for() -> None:
    rng = np.random.default_rng(0)
    scores, many = np.sort(rng.random(40)), rng.integers(1, 9, 40)
    once = equal_groups(scores, 5, many.astype(float))
    assert np.repeat(once, many).tolist() == equal_groups(np.repeat(scores, many), 5).tolist()
