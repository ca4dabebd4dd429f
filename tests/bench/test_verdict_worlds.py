from __future__ import annotations

import numpy as np
import pytest

from workbench.bench.verdict_worlds import (
    MIDDLE,
    draw_questions,
    draw_scores,
    draw_sweep,
    sweep_world,
    table_world,
    teaching_world,
    true_slopes,
)
from workbench.measure import auroc2_within
from workbench.measure.verdicts import CAUSE, STATES, TEACHING, TEXT


def test_scores_have_the_auroc_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    asked = draw_questions(rng, 20_000)
    for auroc in (0.5, 0.6, 0.8):
        scores = draw_scores(rng, asked, auroc)
        found = auroc2_within(scores, asked.correct, asked.domain)
        assert found == pytest.approx(auroc, abs=0.015)


def test_slopes_pass_one_half_where_they_should() -> None:
    slopes = true_slopes()
    assert slopes[int(MIDDLE)] < 0.5 < slopes[int(MIDDLE) + 1]
    assert slopes[-1] == 1


def test_the_last_state_is_the_readout() -> None:
    evidence = draw_sweep(np.random.default_rng(0), 40, 0.7, True)
    assert evidence.sweep.patched[:, -1] == pytest.approx(evidence.sweep.donor)


def test_a_planted_effect_is_found_and_nothing_is_not() -> None:
    planted = table_world(0, n=400, probe=0.85, text=0.85)
    assert planted[STATES].holds
    assert planted[TEXT].holds
    assert teaching_world(0, n=400, after=0.85)[TEACHING].holds
    assert sweep_world(0, items=200, donors=0.9)[CAUSE].holds
    nothing = [table_world(seed, n=200) for seed in range(20)]
    for name in (STATES, TEXT):
        assert sum(found[name].holds for found in nothing) <= 3
    assert not sweep_world(0, items=64, donors=0.8, follows=False)[CAUSE].holds
