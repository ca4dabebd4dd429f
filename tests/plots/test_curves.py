import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.curves import checked_layers


def curve(n: int) -> IntervalCurve:
    return IntervalCurve(np.zeros(n), np.zeros(n) - 1, np.ones(n))


def test_a_curve_keeps_copies_of_its_numbers() -> None:
    value = np.array([1, 2])
    made = IntervalCurve(value, value, value)
    value[0] = 9
    assert made.value.tolist() == [1.0, 2.0]


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="one length"):
        IntervalCurve(np.zeros(2), np.zeros(3), np.zeros(2))
    with pytest.raises(WorkbenchError, match="wrong way round"):
        IntervalCurve(np.zeros(1), np.ones(1), np.zeros(1))
    with pytest.raises(WorkbenchError, match="'late' has 2 points for 3 layers"):
        checked_layers(np.arange(3), {"late": curve(2)})
    with pytest.raises(WorkbenchError, match="rising"):
        checked_layers(np.array([0, 2, 1]), {})


def test_missing_intervals_are_allowed() -> None:
    """Point by point: where one is missing the others are still checked, and stay as they are."""
    low, high = np.array([np.nan, 0.25]), np.array([np.nan, 0.75])
    found = IntervalCurve(np.full(2, 0.5), low, high)
    np.testing.assert_array_equal(found.low, low)
    np.testing.assert_array_equal(found.high, high)
    with pytest.raises(WorkbenchError, match="wrong way round"):
        IntervalCurve(np.full(2, 0.5), high, low)
