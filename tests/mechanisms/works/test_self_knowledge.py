from __future__ import annotations

import numpy as np
import pytest

from workbench.measure.delong import delong_within
from workbench.mechanisms.outcomes import CONFIRMED, CONTRADICTED
from workbench.mechanisms.work import Claim, PlantedWorld
from workbench.mechanisms.works.self_knowledge import (
    CLAIMS,
    OTHER,
    QUESTION_END,
    TFIDF,
    WORK,
    Scores,
    measure_scores,
)

WORLDS = [(claim, world) for claim in CLAIMS for world in claim.worlds]


@pytest.mark.parametrize(
    ("claim", "world"), WORLDS, ids=[f"{claim.name}: {world.name}" for claim, world in WORLDS]
)
def test_with_many_questions_the_rule_finds_what_is_planted(
    claim: Claim, world: PlantedWorld
) -> None:
    found = world.simulate(np.random.default_rng(0), 40_000)
    assert claim.judge(found) == (CONFIRMED if world.true else CONTRADICTED)


def test_disagreements_are_the_questions_that_one_model_alone_answers_right() -> None:
    rng = np.random.default_rng(1)
    correct, others = rng.random(200) < 0.5, rng.random(200) < 0.5
    domain = np.resize(["a", "b"], 200)
    of = {name: rng.random(200) for name in (QUESTION_END, OTHER, TFIDF)}
    found = measure_scores(Scores(correct, domain, of, TFIDF, others))
    apart = correct != others
    assert found["disagreements"].value == pytest.approx(apart.mean())
    kept = delong_within(of[QUESTION_END][apart], correct[apart], domain[apart])
    assert found["question_end_disagreement"] == kept
    gap = found["question_end_disagreement"].value - found["other_model_disagreement"].value
    assert found["self_minus_other_disagreement"].value == pytest.approx(gap)
    assert found["best_input"] == found["tfidf"]
    known = {each.name for each in WORK.quantities}
    assert set(found) <= known
