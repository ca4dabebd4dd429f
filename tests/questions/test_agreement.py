from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from workbench.errors import WorkbenchError
from workbench.questions.agreement import agreement


def test_by_hand() -> None:
    """20 both, 5 first alone, 10 second alone, 15 neither: p_o = .7, p_e = .5 * .6 + .5 * .4 =
    .5, kappa = .4.
    """
    first = [True] * 25 + [False] * 25
    second = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    found = agreement(first, second, seed=0)
    assert (found.both, found.only_first, found.only_second, found.neither) == (20, 5, 10, 15)
    assert found.kappa.value == pytest.approx(0.4)
    assert found.agreement.value == pytest.approx(0.7)
    assert found.kappa.low < 0.4 < found.kappa.high
    # The standard error of kappa on these counts is 0.129 (Fleiss, Cohen and Everitt 1969).
    assert found.kappa.high - found.kappa.low == pytest.approx(2 * 1.96 * 0.129, rel=0.1)
    told = found.to_dict("judge")
    assert told["judge.kappa"] == found.kappa.value
    assert (told["judge.both"], told["judge.only_second"], told["judge.kappa.low"]) == (
        20,
        10,
        found.kappa.low,
    )


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    first, second = zip(*pairs, strict=True)
    value = agreement(first, second, seed=0, resamples=50).kappa.value
    if len({*first, *second}) == 1:
        assert math.isnan(value)
    else:
        assert value == pytest.approx(cohen_kappa_score(first, second))


def test_the_same_grades_agree_fully() -> None:
    grades = np.arange(40) % 3 == 0
    found = agreement(grades, grades, seed=1)
    assert (found.kappa.value, found.kappa.low, found.agreement.low) == (1.0, 1.0, 1.0)


def test_unequal_and_no_grades_are_refused() -> None:
    with pytest.raises(WorkbenchError, match=r"got shapes \(2,\) and \(1,\)"):
        agreement([True, False], [True], seed=0)
    with pytest.raises(WorkbenchError, match="one grade of each grader"):
        agreement([], [], seed=0)
