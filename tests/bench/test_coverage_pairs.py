from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, roc_auc_score

from workbench.bench.coverage_laws import ANSWER_LAWS
from workbench.bench.coverage_pairs import PAIR_MEASURES, pair_intervals, pair_truths
from workbench.measure import Bootstrap


def test_a_large_drawn_table_has_the_laws_residual_and_parts() -> None:
    law = ANSWER_LAWS["strong"]
    drawn, found = law.draw(200_000, np.random.default_rng(0)), pair_truths(law)
    x = drawn.second[:, None]
    left = drawn.first - LinearRegression().fit(x, drawn.first).predict(x)
    assert roc_auc_score(drawn.correct, left) == pytest.approx(found["residual.first"], abs=0.005)
    both = np.column_stack([drawn.first, drawn.second])
    joint, alone = (
        r2_score(drawn.correct, LinearRegression().fit(z, drawn.correct).predict(z))
        for z in (both, x)
    )
    assert joint == pytest.approx(found["partition.joint"], abs=0.006)
    assert joint - alone == pytest.approx(found["partition.unique.first"], abs=0.006)


def test_laws_of_too_many_steps_have_none_and_only_wanted_measures_are_found() -> None:
    assert pair_truths(ANSWER_LAWS["fine"]) == {}
    drawn = ANSWER_LAWS["weak"].draw(80, np.random.default_rng(0))
    wanted = dict.fromkeys(PAIR_MEASURES, False) | {"residual.first": True}
    assert list(pair_intervals(drawn, Bootstrap(20, 0), wanted)) == ["residual.first"]
    every = dict.fromkeys(PAIR_MEASURES, True)
    assert list(pair_intervals(drawn, Bootstrap(20, 0), every)) == list(PAIR_MEASURES)
    unparsed = drawn.__class__(np.full(80, np.nan), drawn.second, drawn.correct, drawn.domain)
    assert pair_intervals(unparsed, Bootstrap(20, 0), every) == {}
