from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from workbench.errors import WorkbenchError
from workbench.measure.cross_fit import CrossFit, folds_of

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(5, 2, (N, 3))
Y = X @ [1.0, -2.0, 0.5] + RNG.normal(size=N) + 7
FOLD = folds_of(N, 4)
ONES = np.ones((1, N))


def test_each_fold_is_predicted_by_a_fit_of_the_others() -> None:
    found = CrossFit(Y, X, FOLD).predicted(ONES)[0] + Y.mean()
    for fold in range(4):
        own = fold == FOLD
        expected = LinearRegression().fit(X[~own], Y[~own]).predict(X[own])
        assert found[own] == pytest.approx(expected)


def test_counts_are_repeated_rows_of_their_own_fold() -> None:
    counts = RNG.integers(0, 4, (3, N)).astype(float)
    found = CrossFit(Y, X, FOLD).predicted(counts) + Y.mean()
    for row, drawn in zip(found, counts.astype(int), strict=True):
        own = FOLD == 1
        x, y = np.repeat(X[~own], drawn[~own], axis=0), np.repeat(Y[~own], drawn[~own])
        assert row[own] == pytest.approx(LinearRegression().fit(x, y).predict(X[own]))


def test_strata_give_slopes_within_domains() -> None:
    domain = np.arange(N) % 3
    shifted, moved = Y + 50.0 * domain, X + 9.0 * domain[:, None]
    slope, _ = CrossFit(shifted, moved, None, domain).slopes(ONES)
    dummies = np.column_stack([moved, np.eye(3)[domain]])
    expected = LinearRegression(fit_intercept=False).fit(dummies, shifted).coef_[:3]
    assert slope[0, 0] == pytest.approx(expected)


def test_a_column_that_says_the_same_takes_no_part() -> None:
    twice = np.column_stack([X[:, 0], X[:, 0]])
    once = CrossFit(Y, X[:, :1], FOLD).predicted(ONES)
    assert CrossFit(Y, twice, FOLD).predicted(ONES) == pytest.approx(once)


def test_folds_follow_ids_and_fill_evenly() -> None:
    ids = np.repeat([f"question {i}" for i in range(400)], 2)
    fold = folds_of(ids, 5)
    assert (fold[::2] == fold[1::2]).all()
    assert folds_of(ids[::-1], 5)[::-1].tolist() == fold.tolist()
    assert (np.bincount(fold, minlength=5) > 100).all()
    assert (np.bincount(folds_of(1000)) > 60).all()


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="too few to regress on 3 columns"):
        CrossFit(Y[:14], X[:14], None)
    with pytest.raises(WorkbenchError, match="without gaps"):
        CrossFit(np.r_[np.nan, Y[1:]], X, None)
    with pytest.raises(WorkbenchError, match="as many rows"):
        CrossFit(Y, X[:-1], None)
