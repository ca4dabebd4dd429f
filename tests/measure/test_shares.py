import numpy as np
import pytest
from scipy.stats import binomtest

from workbench.measure import bootstrap_counts, confidence_metrics
from workbench.measure.interval import Estimate
from workbench.measure.shares import Share


def test_a_share_has_the_interval_of_wilson_by_scipy() -> None:
    hits = np.array([1.0, 0, 0, 1, np.nan, 1, 0, 0])
    found = bootstrap_counts({"share": Share(hits)}, len(hits), seed=0, resamples=5)["share"]
    expected = binomtest(3, 7).proportion_ci(method="wilson")
    assert found.value == pytest.approx(3 / 7)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_share_of_none_is_not_known_to_be_zero() -> None:
    said, right = np.full(60, 0.8), np.arange(60) % 2 == 0
    found = confidence_metrics(said, right, None, seed=0, resamples=5, names=("share_ge_90",))
    share = found["share_ge_90"]
    assert isinstance(share, Estimate)
    assert (share.value, share.low) == (0, 0)
    assert share.high == pytest.approx(1.96**2 / (60 + 1.96**2), rel=1e-3)


def test_counts_of_finer_cells_are_added_up_first() -> None:
    share = Share(np.array([1.0, 0.0])).of(lambda counts: counts.reshape(-1, 2, 2).sum(axis=2))
    assert share(np.array([[1.0, 2.0, 3.0, 4.0]]))[0] == pytest.approx(0.3)
