from __future__ import annotations

import numpy as np
import pytest

from workbench.measure.delong import delong_within
from workbench.mechanisms.works.question_scores import (
    QUESTION_END,
    TFIDF,
    Pair,
    Scores,
    measure_scores,
)
from workbench.mechanisms.works.self_knowledge import WORK


def test_disagreements_are_the_questions_that_one_model_alone_answers_right() -> None:
    rng = np.random.default_rng(1)
    correct, others = rng.random(200) < 0.5, rng.random(200) < 0.5
    domain = np.resize(["a", "b"], 200)
    of = {name: rng.random(200) for name in (QUESTION_END, TFIDF)}
    pair = Pair(of[QUESTION_END], rng.random(200), correct, others, domain)
    found = measure_scores(Scores(correct, domain, of, TFIDF, pair))
    apart = correct != others
    assert found["disagreements"].value == pytest.approx(apart.mean())
    kept = delong_within(of[QUESTION_END][apart], correct[apart], domain[apart])
    assert found["question_end_disagreement"] == kept
    gap = found["question_end_disagreement"].value - found["other_model_disagreement"].value
    assert found["self_minus_other_disagreement"].value == pytest.approx(gap)
    assert found["best_input"] == found["tfidf"]
    known = {each.name for each in WORK.quantities}
    assert set(found) <= known
