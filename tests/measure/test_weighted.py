import numpy as np

from workbench.measure.weighted import Latest, mean_of, once, ratio, summed


def test_mean_leaves_out_what_is_not_known() -> None:
    mean = mean_of(np.array([1.0, np.nan, 4.0]))
    assert np.array_equal(
        mean(np.array([[1, 1, 1], [2, 5, 0], [0, 3, 0]])), [2.5, 1.0, np.nan], equal_nan=True
    )
    assert once(mean, [0, 0, 0]) == 2.5


def test_ratio_of_nothing_is_undefined() -> None:
    assert np.array_equal(
        ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])), [0.5, np.nan], equal_nan=True
    )


def test_runs_are_added_up() -> None:
    values = np.array([[1.0, 2.0, 3.0]])
    assert summed(values, np.array([0, 2])).tolist() == [[3, 3]]
    assert summed(values, np.array([0, 1, 2])) is values


def test_latest_computes_the_same_array_once() -> None:
    calls = []
    double = Latest(lambda counts: calls.append(len(counts)) or 2 * counts)
    first, second = np.ones((1, 2)), np.ones((2, 2))
    assert double(first) is double(first)
    double(second)
    double(first)
    assert calls == [1, 2, 1]
