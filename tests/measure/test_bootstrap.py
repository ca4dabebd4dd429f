import importlib

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import (
    auroc2,
    auroc2_difference,
    auroc2_estimate,
    auroc2_within,
    auroc2_within_estimate,
    bootstrap,
    bootstrap_counts,
)
from workbench.measure.bootstrap import resampled_rows

RNG = np.random.default_rng(7)
N = 120
CORRECT = RNG.random(N) < 0.4
STATED = np.round(np.where(CORRECT, 0.2, 0.0) + RNG.random(N), 1)
STATED[::17] = np.nan
OTHER = np.round(RNG.random(N), 1)
DOMAIN = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]


def close(first: object, second: object) -> bool:
    keys = ("value", "low", "high")
    return np.allclose([getattr(first, k) for k in keys], [getattr(second, k) for k in keys], atol=1e-12)


def test_fast_auroc2_equals_the_generic_bootstrap() -> None:
    fast = auroc2_estimate(STATED, CORRECT, seed=3, resamples=200)
    assert close(fast, bootstrap(auroc2, STATED, CORRECT, seed=3, resamples=200))
    assert fast.n == np.isfinite(STATED).sum()


def test_fast_within_equals_the_generic_bootstrap_within_strata() -> None:
    fast = auroc2_within_estimate(STATED, CORRECT, DOMAIN, seed=3, resamples=200)
    assert close(fast, bootstrap(auroc2_within, STATED, CORRECT, DOMAIN, seed=3, resamples=200, strata=DOMAIN))


def test_difference_is_paired_on_questions_parsed_in_both() -> None:
    both = np.isfinite(STATED)
    expected = bootstrap(
        lambda a, b, y: auroc2(a, y) - auroc2(b, y), STATED[both], OTHER[both], CORRECT[both], seed=5, resamples=200
    )
    assert close(auroc2_difference(STATED, OTHER, CORRECT, None, seed=5, resamples=200), expected)
    same = auroc2_difference(STATED, STATED, CORRECT, DOMAIN, seed=5, resamples=200)
    assert (same.value, same.low, same.high, same.n) == (0.0, 0.0, 0.0, both.sum())


def test_difference_judges_each_run_by_its_own_answers() -> None:
    difference = auroc2_difference([1, 2], [1, 2], [0, 1], None, seed=0, resamples=50, correct_b=[1, 0])
    assert difference.value == 1.0


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
    result = bootstrap_counts({"a": lambda c: c @ weights, "b": lambda c: -(c @ weights)}, 10, seed=0, resamples=300)
    assert result["a"].low == -result["b"].high
    assert result["a"].value == 45.0


def test_strata_keep_their_size_and_chunks_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("workbench.measure.bootstrap")
    monkeypatch.setattr(module, "_CELLS_PER_CHUNK", 60)
    strata = np.array([0, 0, 1, 1, 1, 2])
    chunks = list(resampled_rows(6, resamples=25, seed=0, strata=strata))
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]
    for row in np.concatenate(chunks):
        assert np.bincount(strata[row]).tolist() == [2, 3, 1]


def test_undefined_values_stay_undefined() -> None:
    estimate = auroc2_estimate([0.1, 0.9], [1, 1], seed=0, resamples=20)
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
    assert auroc2_difference([np.nan], [0.5], [1], None, seed=0, resamples=5).n == 0


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="one row per question"):
        bootstrap(np.mean, [1.0, 2.0], [1.0], seed=0)
    with pytest.raises(WorkbenchError, match="at least 1"):
        bootstrap(np.mean, [], seed=0)
    with pytest.raises(WorkbenchError, match=r"0\.95"):
        bootstrap(np.mean, [1.0], seed=0, level=95)
