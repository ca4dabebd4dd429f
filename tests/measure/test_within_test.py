from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import norm

from workbench.measure import auroc2_within
from workbench.measure.within_test import (
    shuffled_variance,
    training_spread,
    within_test,
)

SCORES = np.array([0.1, 0.4, 0.4, 0.9, 0.2, 0.3, 0.8])
CORRECT = np.array([False, True, False, True, True, False, True])
DOMAIN = np.array([0, 0, 0, 0, 1, 1, 1])


def every_assignment() -> list[float]:
    """AUROC2 within domain under every order of the grades, each domain by itself."""
    first = set(permutations(CORRECT[:4].tolist()))
    second = set(permutations(CORRECT[4:].tolist()))
    return [
        auroc2_within(SCORES, np.array([*one, *other]), DOMAIN) for one in first for other in second
    ]


def test_the_spread_is_that_of_all_assignments_of_the_grades() -> None:
    values = np.array(every_assignment())
    assert values.mean() == pytest.approx(0.5)
    assert shuffled_variance(SCORES, CORRECT, DOMAIN) == pytest.approx(values.var())


def test_z_and_p_come_from_the_spread() -> None:
    found = within_test(SCORES, CORRECT, DOMAIN)
    value, spread = auroc2_within(SCORES, CORRECT, DOMAIN), np.std(every_assignment())
    assert (found.value, found.spread) == (pytest.approx(value), pytest.approx(spread))
    assert found.z == pytest.approx((value - 0.5) / spread)
    assert found.p == pytest.approx(norm.sf(found.z))


def test_the_spread_of_trainings_widens_the_test() -> None:
    alone, wide = (within_test(SCORES, CORRECT, DOMAIN, extra=extra) for extra in (0.0, 0.3))
    assert wide.spread == pytest.approx(np.hypot(alone.spread, 0.3))
    assert abs(wide.z) < abs(alone.z)


def test_scores_that_are_all_alike_show_nothing() -> None:
    found = within_test(np.ones(7), CORRECT, DOMAIN)
    assert (found.value, found.z, found.p) == (0.5, 0.0, 1.0)


def test_unparsed_scores_and_domains_of_one_class_are_left_out() -> None:
    scores = np.array([*SCORES, np.nan, 0.5, 0.6])
    correct = np.array([*CORRECT, True, True, True])
    domain = np.array([*DOMAIN, 0, 2, 2])
    assert within_test(scores, correct, domain) == within_test(SCORES, CORRECT, DOMAIN)


def test_training_spread_is_what_shuffled_grades_do_not_explain() -> None:
    assert training_spread([0.6, 0.4, 0.6, 0.4], 0.0064) == pytest.approx(0.06)
    assert training_spread([0.51, 0.49], 0.0064) == 0
