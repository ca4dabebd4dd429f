import numpy as np
import pytest
from scipy.stats import binomtest

from workbench.errors import WorkbenchError
from workbench.measure import brier, brier_decomposition, ece, reliability_bins, wilson_interval
from workbench.measure.calibration import bin_index


def check_vector() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    return p, rng.random(1000) < p**2


def test_check_vector() -> None:
    p, y = check_vector()
    assert round(ece(p, y), 6) == 0.149906
    assert round(brier(p, y), 6) == 0.170250


def test_ece_by_hand_with_a_forecast_of_exactly_one() -> None:
    # Bins: {.05, .05} one right -> |.1 - 1| = .9; {1.0} wrong -> 1; over three forecasts.
    assert np.isclose(ece([0.05, 0.05, 1.0], [1, 0, 0]), 1.9 / 3)


def test_unparsed_forecasts_are_skipped() -> None:
    assert ece([np.nan, 0.5, 0.5], [1, 1, 0]) == 0.0
    assert brier([np.nan, 0.5, 1.0], [1, 1, 1]) == 0.125
    assert np.isnan(ece([np.nan], [1]))
    assert np.isnan(brier([np.nan], [1]))


def test_whole_percentages_fall_into_their_own_bin() -> None:
    percent = np.arange(101)
    assert bin_index(percent / 100, 100).tolist() == [*range(100), 99]
    assert bin_index(percent / 100, 10).tolist() == [min(c // 10, 9) for c in percent]


def test_decomposition_adds_up_to_the_brier_score_of_the_binned_forecasts() -> None:
    p, y = check_vector()
    parts = brier_decomposition(p, y)
    index = np.minimum((p * 10).astype(int), 9)
    binned = np.array([p[index == b].mean() for b in range(10)])[index]
    assert np.isclose(parts.binned_brier, np.mean((binned - y) ** 2), atol=1e-12)
    assert np.isclose(parts.uncertainty, y.mean() * (1 - y.mean()))


def test_decomposition_by_hand() -> None:
    # Bin means .2 and .8, accuracies .5 and 1, base rate .75, two forecasts each.
    parts = brier_decomposition([0.2, 0.2, 0.8, 0.8], [1, 0, 1, 1])
    assert np.isclose(parts.reliability, (0.09 + 0.04) / 2)
    assert np.isclose(parts.resolution, 0.0625)
    assert np.isclose(parts.uncertainty, 0.1875)


def test_reliability_bins_by_hand() -> None:
    table = reliability_bins([0.1, 0.3, 0.9, 1.0, np.nan], [0, 1, 1, 1, 0], bins=2)
    assert table.count.tolist() == [2, 2]
    assert np.allclose(table.mean_probability, [0.2, 0.95])
    assert np.allclose(table.accuracy, [0.5, 1.0])
    empty = reliability_bins([0.9], [1], bins=2)
    assert empty.count.tolist() == [0, 1]
    assert np.isnan([empty.accuracy[0], empty.low[0], empty.mean_probability[0]]).all()


@pytest.mark.parametrize(("right", "trials"), [(0, 5), (3, 7), (40, 40)])
def test_wilson_interval_equals_scipy(right: int, trials: int) -> None:
    expected = binomtest(right, trials).proportion_ci(method="wilson")
    low, high = wilson_interval([right], [trials])
    assert np.allclose([low[0], high[0]], [expected.low, expected.high], atol=1e-12)


def test_no_bins_is_a_mistake() -> None:
    with pytest.raises(WorkbenchError, match="at least one bin"):
        ece([0.5], [1], bins=0)
