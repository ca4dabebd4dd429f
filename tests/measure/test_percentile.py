import numpy as np
import pytest
from scipy.stats import norm, t

from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, bootstrap
from workbench.measure.percentile import bounds, leaning, tail


def test_the_share_left_out_is_that_of_t_and_of_the_lost_degrees() -> None:
    assert tail(0.95, 10**9) == pytest.approx(0.025, abs=1e-6)
    assert tail(0.95, 16) == pytest.approx(norm.sf(t.isf(0.025, 15) * np.sqrt(16 / 15)))
    assert tail(0.95, 60, fitted=6) < tail(0.95, 60) < 0.025
    assert 0 < tail(0.95, 1) < 0.025
    with pytest.raises(WorkbenchError, match="between 0 and 1"):
        tail(95, 10)


def test_bounds_of_columns_leave_out_what_is_not_defined() -> None:
    values = np.stack([np.arange(1.0, 1000), np.full(999, np.nan), np.arange(1.0, 1000)], axis=1)
    values[:500, 2] = np.nan
    low, high = bounds(np.array([500.0, 3, 750]), values, 0.9, 10**9)
    # The p-quantile of r values has rank p (r + 1): 50 of 999, and 25 above 500 of the last 499.
    assert low == pytest.approx([50, np.nan, 525], nan_ok=True, abs=1e-3)
    assert high == pytest.approx([950, np.nan, 975], nan_ok=True, abs=1e-3)


def test_the_quantiles_move_away_from_where_resampling_leans() -> None:
    """Resampled values lie above the value in all but 40 %: the quantiles go down by twice the
    normal quantile of that share.
    """
    drawn = np.arange(1.0, 1000)
    low, high = bounds(400.2, drawn, 0.9, 10**9)
    shares = norm.cdf(2 * norm.ppf(400 / 999) + norm.ppf([0.05, 0.95]))
    assert [float(low), float(high)] == pytest.approx(list(1000 * shares), abs=0.1)
    assert leaning(0, drawn) == -0.5
    assert leaning(5.0, np.full(9, 5.0)) == 0


def test_the_mean_of_ten_questions_is_covered() -> None:
    """The plain percentile interval of a mean of ten misses in ten of a hundred tables."""
    rng = np.random.default_rng(0)
    draw = Bootstrap(300, 0)
    missed, plain = 0, 0
    for _ in range(300):
        values = rng.normal(size=10)
        found = bootstrap(np.mean, values, **draw.options)
        missed += not found.low < 0 < found.high
        half = 1.96 * values.std() / np.sqrt(10)
        plain += not abs(values.mean()) < half
    assert 0.02 < missed / 300 < 0.09
    assert plain / 300 > 0.07
