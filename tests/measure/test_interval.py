from __future__ import annotations

import numpy as np
import pytest

from workbench.measure import Estimate, IntervalCurve, flat_summary
from workbench.measure.interval import summarise_null

NAN = float("nan")


def test_entries_of_the_summary() -> None:
    assert Estimate(0.5, 0.4, 0.7, 10).to_dict("auroc2.stated") == {
        "auroc2.stated": 0.5,
        "auroc2.stated.low": 0.4,
        "auroc2.stated.high": 0.7,
    }


def test_a_summary_has_three_entries_for_an_estimate_and_one_for_anything_else() -> None:
    found = flat_summary({"a": Estimate(0.5, 0.4, 0.7, 10), "b": 3, "c": None})
    assert found == {"a": 0.5, "a.low": 0.4, "a.high": 0.7, "b": 3, "c": None}


def test_an_interval_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong way round"):
        Estimate(0.5, 0.7, 0.4, 10)


@pytest.mark.parametrize(
    ("estimate", "spec", "text"),
    [
        (Estimate(0.5, 0.4, 0.7, 9), "", "0.500 [0.400, 0.700]"),
        (Estimate(0.5, 0.4, 0.7, 9), ".2f", "0.50 [0.40, 0.70]"),
        (Estimate(0.5, 0.4, 0.7, 9), "\n.3f", "0.500\n[0.400, 0.700]"),
        (Estimate(0.5, 0.4, 0.7, 9), "\n", "0.500\n[0.400, 0.700]"),
        (Estimate(-0.25, -0.5, 0.0, 9), "+.1f", "-0.2 [-0.5, +0.0]"),
        (Estimate(0.5, NAN, NAN, 9), "\n.3f", "0.500"),
        (Estimate(NAN, NAN, NAN, 0), ".2f", "not defined"),
    ],
)
def test_an_estimate_is_written_with_its_interval(estimate: Estimate, spec: str, text: str) -> None:
    assert format(estimate, spec) == text


def test_a_point_of_a_curve_is_an_estimate() -> None:
    curve = IntervalCurve(np.array([1.0, 2.0]), np.array([0.0, 1.5]), np.array([2.0, 3.0]))
    assert curve.at(-1, 7) == Estimate(2.0, 1.5, 3.0, 7)


def test_a_curve_known_at_some_points_is_blank_at_the_others() -> None:
    curve = IntervalCurve(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    spread = curve.spread(np.array([3, 9]), np.array([3, 5, 9]))
    assert np.array_equal(spread.value, [1, np.nan, 2], equal_nan=True)
    assert np.array_equal(spread.low, [0, np.nan, 1], equal_nan=True)
    assert np.array_equal(spread.high, [2, np.nan, 3], equal_nan=True)


def test_a_null_is_its_mean_and_the_middle_of_its_values() -> None:
    found = summarise_null([*np.arange(101.0), NAN], 7)
    assert (found.value, found.n) == (50, 7)
    assert (found.low, found.high) == (pytest.approx(2.5), pytest.approx(97.5))
    assert np.isnan(summarise_null([NAN, NAN], 7).value)
