from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.measure import Bootstrap, auroc2_within
from workbench.mechanisms.works.commitment_scores import Committed, measure_scores

RNG = np.random.default_rng(0)
N = 160
READY, EVIDENCE = RNG.normal(size=(2, N))
QUESTIONS = Committed(
    expected=1 / (1 + np.exp(-READY - RNG.normal(size=N))),
    stated=np.round(1 / (1 + np.exp(-READY)), 1),
    likelihood=EVIDENCE,
    shown=1 / (1 + np.exp(-READY - 0.2 * RNG.normal(size=N))),
    swapped=1 / (1 + np.exp(-READY - 0.2 * RNG.normal(size=N) - 0.5)),
    correct=EVIDENCE + RNG.normal(size=N) > 0,
    domain=np.resize(["a", "b"], N),
)


def test_raw_values_are_auroc2_within_domain_and_their_differences() -> None:
    found = measure_scores(QUESTIONS, Bootstrap(50, 0))
    commits = QUESTIONS.p_commit > 0.5
    assert QUESTIONS.threshold == 0.5
    area = {
        (name, what): auroc2_within(getattr(QUESTIONS, name), held, QUESTIONS.domain)
        for name in ("expected", "stated", "likelihood")
        for what, held in (("commit", commits), ("correct", QUESTIONS.correct))
    }
    for (name, what), value in area.items():
        assert found[f"{name}_{what}"].value == pytest.approx(value)
    gap = area["expected", "commit"] - area["expected", "correct"]
    other = area["likelihood", "commit"] - area["likelihood", "correct"]
    assert found["expected_commit_minus_correct"].value == pytest.approx(gap)
    assert found["dissociation"].value == pytest.approx(gap - other)
    assert found["dissociation"].low > 0
    assert found["order_agreement"].value > 0.8
    assert found["p_commit"].value == pytest.approx(QUESTIONS.p_commit.mean())


def test_shuffled_commitment_is_told_by_nothing() -> None:
    found = measure_scores(QUESTIONS, Bootstrap(20, 0))["shuffled_commit"]
    assert abs(found.value - 0.5) < 0.03
    assert found.low < 0.5 < found.high


def test_a_model_that_hardly_ever_commits_is_cut_at_its_median() -> None:
    rare = replace(QUESTIONS, shown=QUESTIONS.shown / 50, swapped=QUESTIONS.swapped / 50)
    assert rare.threshold == pytest.approx(np.median(rare.p_commit))
    assert rare.commits.mean() == pytest.approx(0.5, abs=0.01)


def test_a_confidence_that_is_the_likelihood_leaves_no_unique_part() -> None:
    same = replace(QUESTIONS, expected=EVIDENCE + 1e-3 * RNG.normal(size=N))
    found = measure_scores(same, Bootstrap(50, 0))
    assert found["expected_unique_correct"].value < 0.03
    assert abs(found["expected_correct_residual"].value - 0.5) < 0.12
