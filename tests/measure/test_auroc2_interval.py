import numpy as np

from workbench.measure import (
    auroc2,
    auroc2_difference,
    auroc2_estimate,
    auroc2_within,
    auroc2_within_estimate,
    bootstrap,
)

RNG = np.random.default_rng(7)
N = 120
CORRECT = RNG.random(N) < 0.4
STATED = np.round(np.where(CORRECT, 0.2, 0.0) + RNG.random(N), 1)
STATED[::17] = np.nan
OTHER = np.round(RNG.random(N), 1)
DOMAIN = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]


def close(first: object, second: object) -> bool:
    keys = ("value", "low", "high")
    return np.allclose(
        [getattr(first, k) for k in keys], [getattr(second, k) for k in keys], atol=1e-12
    )


def test_fast_auroc2_equals_the_generic_bootstrap() -> None:
    fast = auroc2_estimate(STATED, CORRECT, seed=3, resamples=200)
    assert close(fast, bootstrap(auroc2, STATED, CORRECT, seed=3, resamples=200))
    assert fast.n == np.isfinite(STATED).sum()


def test_fast_within_equals_the_generic_bootstrap_within_strata() -> None:
    fast = auroc2_within_estimate(STATED, CORRECT, DOMAIN, seed=3, resamples=200)
    assert close(
        fast,
        bootstrap(auroc2_within, STATED, CORRECT, DOMAIN, seed=3, resamples=200, strata=DOMAIN),
    )


def test_difference_is_paired_on_questions_parsed_in_both() -> None:
    both = np.isfinite(STATED)
    expected = bootstrap(
        lambda a, b, y: auroc2(a, y) - auroc2(b, y),
        STATED[both],
        OTHER[both],
        CORRECT[both],
        seed=5,
        resamples=200,
    )
    assert close(auroc2_difference(STATED, OTHER, CORRECT, None, seed=5, resamples=200), expected)
    same = auroc2_difference(STATED, STATED, CORRECT, DOMAIN, seed=5, resamples=200)
    assert (same.value, same.low, same.high, same.n) == (0.0, 0.0, 0.0, both.sum())


def test_difference_judges_each_run_by_its_own_answers() -> None:
    difference = auroc2_difference(
        [1, 2], [1, 2], [0, 1], None, seed=0, resamples=50, correct_b=[1, 0]
    )
    assert difference.value == 1.0


def test_undefined_values_stay_undefined() -> None:
    estimate = auroc2_estimate([0.1, 0.9], [1, 1], seed=0, resamples=20)
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
    assert auroc2_difference([np.nan], [0.5], [1], None, seed=0, resamples=5).n == 0
