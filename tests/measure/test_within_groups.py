from __future__ import annotations

import numpy as np

from workbench.measure.within_groups import centre_within, shuffle_rows_within


def test_means_of_groups_are_taken_out() -> None:
    values = centre_within([[1.0, 2.0], [3.0, 6.0], [5.0, 5.0]], ["a", "a", "b"])
    np.testing.assert_array_equal(values, [[-1, -2], [1, 2], [0, 0]])
    given = np.array([1.0, 5.0, 3.0])
    np.testing.assert_array_equal(centre_within(given, ["b", "a", "b"]), [-1, 0, 1])
    np.testing.assert_array_equal(given, [1, 5, 3])


def test_questions_are_mixed_and_none_leaves_its_group() -> None:
    groups = np.resize([2, 0, 1, 0], 200)
    order = shuffle_rows_within(groups, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(200))
    np.testing.assert_array_equal(groups[order], groups)
    assert (order != np.arange(200)).mean() > 0.9
