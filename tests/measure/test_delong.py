import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import brunnermunzel
from scipy.stats import t as student

from workbench.errors import WorkbenchError
from workbench.measure import (
    auroc2,
    auroc2_estimate,
    auroc2_within,
    delong,
    delong_difference,
    delong_within,
)
from workbench.measure.interval import Estimate

RNG = np.random.default_rng(5)
N = 300
CORRECT = RNG.random(N) < 0.4
A = np.round(CORRECT * 0.3 + RNG.random(N), 1)
B = np.round(CORRECT * 0.1 + 0.5 * A + RNG.random(N), 1)
ANSWERS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.booleans()), min_size=4, max_size=30
)


def by_pairs(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> np.ndarray:
    """DeLong's covariance matrix from the kernel of every pair, as in the 1988 paper."""
    kernel = [(s[y][:, None] > s[~y]) + 0.5 * (s[y][:, None] == s[~y]) for s in (a, b)]
    v10 = np.stack([k.mean(axis=1) for k in kernel])
    v01 = np.stack([k.mean(axis=0) for k in kernel])
    return np.cov(v10) / y.sum() + np.cov(v01) / (~y).sum()


def width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


def test_variance_equals_the_kernel_of_every_pair() -> None:
    covariance = by_pairs(A, B, CORRECT)
    found = delong(A, CORRECT)
    assert np.isclose(found.value, auroc2(A, CORRECT))
    half = found.high - found.value
    assert 1.96 * np.sqrt(covariance[0, 0]) < half < 1.98 * np.sqrt(covariance[0, 0])
    difference = delong_difference(A, B, CORRECT)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert np.isclose(
        width(difference.difference) / 2, 1.959963984540054 * np.sqrt(variance), rtol=1e-12
    )
    assert np.isclose(difference.difference.value, auroc2(A, CORRECT) - auroc2(B, CORRECT))


@pytest.mark.parametrize("n", [12, 40, 80])
def test_bounds_are_those_of_the_rank_test_of_brunner_and_munzel(n: int) -> None:
    """At the level at which scipy's test just rejects one half, a bound is one half."""
    scores, correct = A[:n], CORRECT[:n]
    p = brunnermunzel(scores[~correct], scores[correct]).pvalue
    found = delong(scores, correct, level=1 - p)
    assert min(abs(found.low - 0.5), abs(found.high - 0.5)) < 1e-9


@given(ANSWERS)
def test_value_is_auroc2(answers: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(column) for column in zip(*answers, strict=True))
    assert np.isclose(
        delong(confidence, correct).value, auroc2(confidence, correct), equal_nan=True
    )


def test_interval_agrees_with_the_bootstrap() -> None:
    boot = auroc2_estimate(A, CORRECT, seed=0, resamples=4000)
    assert np.isclose(width(delong(A, CORRECT)), width(boot), rtol=0.06)


def test_own_grades_agree_with_the_jackknife() -> None:
    other = np.where(RNG.random(N) < 0.8, CORRECT, ~CORRECT)
    left_out = [
        auroc2(np.delete(A, i), np.delete(CORRECT, i))
        - auroc2(np.delete(B, i), np.delete(other, i))
        for i in range(N)
    ]
    spread = np.sqrt((N - 1) * np.var(left_out))
    found = delong_difference(A, B, CORRECT, correct_b=other).difference
    assert np.isclose(width(found) / 2, 1.959963984540054 * spread, rtol=0.02)


def test_within_domain_variances_add() -> None:
    domain = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]
    found = delong_within(A, CORRECT, domain)
    assert np.isclose(found.value, auroc2_within(A, CORRECT, domain))
    parts = []
    for d in "abc":
        right, wrong = (A[(domain == d) & (grade == CORRECT)] for grade in (True, False))
        kernel = (right[:, None] > wrong) + 0.5 * (right[:, None] == wrong)
        for axis, size in ((1, len(right)), (0, len(wrong))):
            parts.append((kernel.mean(axis=axis).var(ddof=1) / size / 9, size - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    assert np.isclose(width(found) / 2, student.ppf(0.975, freedom) * np.sqrt(variance))


def test_unparsed_are_skipped_and_the_difference_uses_both() -> None:
    a, b = A.copy(), B.copy()
    a[:10], b[5:20] = np.nan, np.nan
    assert delong(a, CORRECT) == delong(A[10:], CORRECT[10:])
    assert delong_difference(a, b, CORRECT).difference.n == N - 20


def test_no_width_where_there_is_none_to_offer() -> None:
    for confidence, correct, value in (
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([5, 5, 5, 5], [0, 1, 0, 1], 0.5),
        ([1, 2, 3], [0, 1, 1], 1.0),
        ([1, 2], [1, 1], np.nan),
    ):
        found = delong(confidence, correct)
        assert np.isclose(found.value, value, equal_nan=True)
        assert np.isnan([found.low, found.high]).all()
    assert np.isnan(delong_within([1, 2], [1, 0], ["a", "b"]).value)


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="align them"):
        delong_difference([1.0, 2.0], [1.0], [1, 0], correct_b=[1])
    with pytest.raises(WorkbenchError, match=r"0\.95"):
        delong(A, CORRECT, level=95)
