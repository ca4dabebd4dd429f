from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.mechanisms.over_seeds import mean_over_seeds


def test_one_seed_is_its_run() -> None:
    one = Estimate(0.6, 0.5, 0.75, 80)
    mean = mean_over_seeds([one])
    assert mean.estimate == one
    assert mean.seeds == 1
    assert np.isnan(mean.deviation)


def test_the_mean_by_hand() -> None:
    """Values 0.6 and 0.8: s = 0.1 sqrt(2), so (1.96 s)^2 / 2 = 0.196^2; bounds 0.1 below and
    0.2 above.
    """
    mean = mean_over_seeds([Estimate(0.6, 0.5, 0.8, 80), Estimate(0.8, 0.7, 1.0, 90)])
    assert mean.estimate.value == pytest.approx(0.7)
    assert mean.deviation == pytest.approx(0.1 * np.sqrt(2))
    assert mean.estimate.low == pytest.approx(0.7 - np.hypot(0.1, 0.196), abs=1e-4)
    assert mean.estimate.high == pytest.approx(0.7 + np.hypot(0.2, 0.196), abs=1e-4)
    assert mean.estimate.n == 80


def test_a_seed_without_an_interval_leaves_none() -> None:
    nan = float("nan")
    mean = mean_over_seeds([Estimate(0.6, 0.5, 0.8, 80), Estimate(0.8, nan, nan, 90)])
    assert np.isnan(mean.estimate.low)
    with pytest.raises(WorkbenchError, match="at least one"):
        mean_over_seeds([])


def test_it_covers_the_mean_of_seeds_that_asked_other_questions() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        values = 0.7 + 0.05 * rng.standard_normal(5) + 0.03 * rng.standard_normal(5)
        runs = [Estimate(one, one - 0.0588, one + 0.0588, 200) for one in values]
        mean = mean_over_seeds(runs).estimate
        covered += mean.low <= 0.7 <= mean.high
    assert covered / 400 > 0.94
