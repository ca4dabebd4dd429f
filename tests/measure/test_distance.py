from __future__ import annotations

import numpy as np
import pytest

from workbench.measure import confidence_metrics, ece
from workbench.measure.distance import (
    Distance,
    Noise,
    debiased,
    distance_bounds,
    length,
    minus,
)
from workbench.measure.interval import Estimate
from workbench.measure.weighted import PointOnly

ERROR = 0.02
PARTS = np.array([0.05, -0.03, 0.0, 0.0, 0.04])


def noisy(true: np.ndarray, rng: np.random.Generator, power: int = 1) -> Noise:
    """Parts seen once with normal errors of known size, which resampling finds again."""
    moved = rng.normal(0, ERROR, (400, len(true)))
    return Noise(true + rng.normal(0, ERROR, len(true)), moved, power)  # type: ignore[arg-type]


def test_without_noise_everything_is_the_length() -> None:
    still = Noise(PARTS, np.zeros((10, 5)), 1)
    assert debiased(still) == pytest.approx(0.12)
    assert distance_bounds(still, 0.025) == pytest.approx((0.12, 0.12))


def test_the_debiased_value_has_a_smaller_bias_than_what_is_seen() -> None:
    rng = np.random.default_rng(0)
    found = [noisy(PARTS, rng) for _ in range(200)]
    seen = np.mean([each.length for each in found]) - length(PARTS, 1)
    mended = np.mean([debiased(each) for each in found]) - length(PARTS, 1)
    assert seen > 0.03
    assert abs(mended) < 0.011


def test_of_squares_it_is_what_is_seen_less_the_variances() -> None:
    rng = np.random.default_rng(1)
    each = noisy(np.array([0.2, 0.1, -0.3]), rng, power=2)
    expected = each.length - (each.moved**2).mean(axis=0).sum()
    # The drawn errors do not have a mean of exactly zero.
    assert debiased(each) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("true", [PARTS, np.zeros(5), np.full(5, 0.1)])
def test_bounds_miss_about_as_often_as_they_say(true: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    bounds = np.array([distance_bounds(noisy(true, rng), 0.025) for _ in range(300)])
    missed = (bounds[:, 0] > length(true, 1) + 1e-9) | (bounds[:, 1] < length(true, 1) - 1e-9)
    assert 0.005 < missed.mean() < 0.09
    percentiles = np.array(
        [
            np.quantile(length(each.observed + each.moved, 1), [0.025, 0.975])
            for each in (noisy(true, rng) for _ in range(100))
        ]
    )
    if not true.any():
        assert (percentiles[:, 0] > 0).all()


def test_a_difference_of_distances_has_no_interval_and_others_do() -> None:
    first, second = Distance(lambda counts: counts[:, :2]), Distance(lambda counts: counts[:, 2:])
    both = minus(first, second)
    assert isinstance(both, PointOnly)
    counts = np.array([[1.0, -2.0, 0.5, 0.0]])
    assert both(counts)[0] == 2.5
    plain = minus(lambda counts: counts.sum(axis=1), first)
    assert not isinstance(plain, PointOnly)
    assert plain(counts)[0] == -3.5


def test_ece_keeps_its_value_and_its_interval_holds_the_true_one() -> None:
    """A forecast that is right as often as it says, in twenty steps: the true ECE is zero."""
    rng = np.random.default_rng(4)
    said = rng.integers(1, 20, 100) / 20
    right = rng.random(100) < said
    found = confidence_metrics(
        said, right, None, seed=0, resamples=400, names=("ece", "ece_debiased")
    )
    plain, mended = found["ece"], found["ece_debiased"]
    assert isinstance(plain, Estimate)
    assert isinstance(mended, Estimate)
    assert plain.value == pytest.approx(ece(said, right), abs=1e-12)
    assert plain.value > 0.05
    assert mended.value < plain.value - 0.03
    assert (plain.low, plain.high) == (mended.low, mended.high)
    assert plain.low == 0
