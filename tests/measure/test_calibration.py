import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from workbench.errors import WorkbenchError
from workbench.measure import (
    brier,
    brier_decomposition,
    ece,
    reliability_bins,
    top_label,
    wilson_interval,
)
from workbench.measure.edges import bin_index


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


def test_equal_mass_bins_by_hand() -> None:
    # Halves {.1, .2} and {.3, .9}: |.3 - 1| and |1.2 - 1| over four answers.
    assert np.isclose(
        ece([0.1, 0.2, 0.3, 0.9], [1, 0, 0, 1], bins=2, binning="mass"), (0.7 + 0.2) / 4
    )


def test_equal_mass_bins_keep_ties_together_whatever_the_order() -> None:
    p, y = np.array([0.9] * 6 + [0.1] * 2), np.array([1, 1, 1, 0, 0, 0, 0, 1])
    assert np.isclose(ece(p, y, bins=4, binning="mass"), (abs(5.4 - 3) + abs(0.2 - 1)) / 8)
    assert ece(p, y, bins=4, binning="mass") == ece(p[::-1], y[::-1], bins=4, binning="mass")


def test_equal_mass_equals_quantile_bins_of_sklearn() -> None:
    p, y = check_vector()
    share, mean = calibration_curve(y, p, n_bins=10, strategy="quantile")
    assert np.isclose(ece(p, y, binning="mass"), np.abs(share - mean).mean(), atol=1e-3)


def test_top_label_by_hand() -> None:
    confidence, hit = top_label([0.2, 0.5, 0.9, 1.0, np.nan], [0, 1, 0, 1, 1])
    assert np.allclose(confidence, [0.8, 0.5, 0.9, 1.0, np.nan], equal_nan=True)
    assert hit[:4].tolist() == [True, True, False, True]
    dropped, _ = top_label([0.0, 1.0, 0.6], [0, 0, 1], drop_certain=True)
    assert np.isnan(dropped).tolist() == [True, True, False]


def test_large_tables_are_summed_bin_by_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    p, y = check_vector()
    expected = ece(p, y), brier_decomposition(p, y)
    monkeypatch.setattr("workbench.measure.calibration._MATRIX_CELLS", 10)
    assert np.isclose(ece(p, y), expected[0], atol=1e-12)
    assert np.isclose(brier_decomposition(p, y).resolution, expected[1].resolution, atol=1e-12)
