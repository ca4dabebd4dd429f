from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, residual_discrimination
from workbench.measure.cross_fit import folds_of
from workbench.measure.residual import ResidualAuroc2, residual_of

DRAW = Bootstrap(200, 0)


def planted(n: int, seed: int, own: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A likelihood that knows the grade, and a confidence that is made of it, and of ``own`` times
    the grade besides."""
    rng = np.random.default_rng(seed)
    likelihood = rng.normal(size=n)
    correct = rng.random(n) < 1 / (1 + np.exp(-2 * likelihood))
    confidence = likelihood + own * correct + rng.normal(size=n)
    return confidence, likelihood, correct


def test_a_confidence_made_of_the_likelihood_has_nothing_left_and_one_that_hears_more_does() -> (
    None
):
    copy = residual_discrimination(*planted(3000, 0, 0.0), None, DRAW)
    assert copy.first.raw.low > 0.6
    assert copy.first.residual.low < 0.5 < copy.first.residual.high
    assert copy.second.residual.low > 0.6
    hears = residual_discrimination(*planted(3000, 0, 1.0), None, DRAW)
    assert hears.first.residual.low > 0.6


def test_the_value_is_that_of_a_regression_on_the_other_folds() -> None:
    confidence, likelihood, correct = planted(150, 1, 0.5)
    ids = np.array([f"q{i}" for i in range(150)])
    fold, residual = folds_of(ids), np.zeros(150)
    x = (likelihood - likelihood.mean())[:, None]
    for at in np.unique(fold):
        own = fold == at
        residual[own] = (
            confidence[own] - x[own] @ LinearRegression().fit(x[~own], confidence[~own]).coef_
        )
    found = residual_discrimination(confidence, likelihood, correct, None, DRAW, ids=ids)
    assert found.first.residual.value == pytest.approx(roc_auc_score(correct, residual))
    assert found.first_given_second.values == pytest.approx(residual - residual.mean())


def test_within_domain_a_difference_between_domains_counts_for_nothing() -> None:
    confidence, likelihood, correct = planted(400, 2, 0.5)
    domain = np.arange(400) % 4
    moved = residual_discrimination(
        confidence + 30 * domain, likelihood - 7 * domain, correct, domain, DRAW
    )
    plain = residual_discrimination(confidence, likelihood, correct, domain, DRAW)
    assert plain.first.residual_within is not None
    assert moved.first.residual_within is not None
    assert moved.first.residual_within.value == pytest.approx(
        plain.first.residual_within.value, abs=1e-6
    )


def test_a_bent_relation_is_said_to_be_left() -> None:
    rng = np.random.default_rng(3)
    given = rng.normal(size=1000)
    noise, fold = rng.normal(size=1000), folds_of(1000)
    straight, bent = residual_of(given + noise, given, fold), residual_of(given**2, given, fold)
    assert straight.explained == pytest.approx(0.5, abs=0.06)
    assert abs(straight.left) < 0.03
    assert bent.left > 0.95


def test_equal_answers_tie_whatever_their_fold_or_place() -> None:
    score = np.tile([0.1, 0.4, 0.4, 0.9], 30)
    outcome = np.tile([False, True, False, True], 30)
    found = ResidualAuroc2(score, np.zeros(120), outcome, folds_of(120))(np.ones((1, 120)))
    assert found[0] == pytest.approx(roc_auc_score(outcome, score))


def test_a_stated_confidence_of_mostly_one_value_has_no_interval() -> None:
    confidence, likelihood, correct = planted(200, 4, 1.0)
    stated = np.where(confidence > np.quantile(confidence, 0.3), 0.95, 0.8)
    found = residual_discrimination(stated, likelihood, correct, None, DRAW)
    assert found.first_given_second.tied == pytest.approx(0.7)
    assert np.isnan(found.first.residual.low)
    assert not np.isnan(found.first.raw.low)
    assert not np.isnan(found.second.residual.low)


def test_the_interval_covers_where_nothing_is_left() -> None:
    hits = 0
    for seed in range(120):
        found = residual_discrimination(*planted(80, seed, 0.0), None, DRAW)
        hits += found.first.residual.low <= 0.5 <= found.first.residual.high
    assert hits / 120 > 0.89


def test_rows_with_one_score_are_left_out_and_too_few_are_refused() -> None:
    confidence, likelihood, correct = planted(60, 5, 0.0)
    confidence[:5], likelihood[5:9] = np.nan, np.nan
    found = residual_discrimination(confidence, likelihood, correct, None, DRAW)
    assert found.first.raw.n == 51
    assert np.isnan(found.first_given_second.values[:9]).all()
    with pytest.raises(WorkbenchError, match="9 questions have both scores"):
        residual_discrimination(confidence[:18], likelihood[:18], correct[:18], None, DRAW)
