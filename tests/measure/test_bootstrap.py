import importlib

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, auroc2_estimate, bootstrap, bootstrap_counts
from workbench.measure.bootstrap import resampled_rows

RNG = np.random.default_rng(7)
N = 120
CORRECT = RNG.random(N) < 0.4
STATED = np.round(np.where(CORRECT, 0.2, 0.0) + RNG.random(N), 1)


def test_interval_of_a_mean_has_the_width_theory_gives() -> None:
    values = np.random.default_rng(0).normal(size=400)
    estimate = bootstrap(np.mean, values, seed=1, resamples=2000)
    half = 1.96 * values.std() / np.sqrt(400)
    assert np.isclose(estimate.high - estimate.value, half, rtol=0.1)
    assert np.isclose(estimate.value - estimate.low, half, rtol=0.1)
    wider = bootstrap(np.mean, values, seed=1, resamples=2000, level=0.99)
    assert wider.low < estimate.low < estimate.high < wider.high


def test_seed_decides_everything() -> None:
    first = auroc2_estimate(STATED, CORRECT, seed=1, resamples=50)
    assert first == auroc2_estimate(STATED, CORRECT, seed=1, resamples=50)
    assert first != auroc2_estimate(STATED, CORRECT, seed=2, resamples=50)


def test_statistics_in_one_call_share_their_resamples() -> None:
    weights = np.arange(10.0)
    result = bootstrap_counts(
        {"a": lambda c: c @ weights, "b": lambda c: -(c @ weights)}, 10, seed=0, resamples=300
    )
    assert result["a"].low == pytest.approx(-result["b"].high)
    assert result["a"].value == 45.0


def test_strata_keep_their_size_and_chunks_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("workbench.measure.bootstrap")
    monkeypatch.setattr(module, "_CELLS_PER_CHUNK", 60)
    strata = np.array([0, 0, 1, 1, 1, 2])
    chunks = list(resampled_rows(6, resamples=25, seed=0, strata=strata))
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]
    for row in np.concatenate(chunks):
        assert np.bincount(strata[row]).tolist() == [2, 3, 1]


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="one row per question"):
        bootstrap(np.mean, [1.0, 2.0], [1.0], seed=0)
    with pytest.raises(WorkbenchError, match="at least 1"):
        bootstrap(np.mean, [], seed=0)
    with pytest.raises(WorkbenchError, match=r"0\.95"):
        bootstrap(np.mean, [1.0], seed=0, level=95)


def test_how_intervals_are_drawn_is_one_object_that_the_measures_take() -> None:
    values = np.random.default_rng(0).random(30)
    draw = Bootstrap(resamples=50, seed=3, level=0.8)
    assert bootstrap(np.mean, values, **draw.options) == bootstrap(
        np.mean, values, resamples=50, seed=3, level=0.8
    )
    assert draw.draws == {"resamples": 50, "seed": 3}


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_a_bootstrap_that_draws_nothing_is_refused(resamples: int, level: float) -> None:
    with pytest.raises(WorkbenchError, match="at least one resample for a level between 0 and 1"):
        Bootstrap(resamples, 0, level)
