from __future__ import annotations

import numpy as np

from workbench.bench.tiny_worlds import (
    ANSWER_AT,
    ANSWERS,
    SCALE,
    make_world,
    random_adapter,
    said,
    teach,
)
from workbench.bench.verdict_models import judge_donors, judge_reading, run_chain
from workbench.measure.verdicts import CAUSE, NAMES, STATES
from workbench.teach.adapter import remove_adapter


def test_the_answer_token_tells_the_grade_as_often_as_was_asked_for() -> None:
    shares = []
    for seed in range(5):
        world = make_world(seed, "own", 0.0)
        sure = np.array([prompt[ANSWER_AT] == ANSWERS[1] for prompt in world.prompts])
        shares.append((sure == world.correct).mean())
    # Seven tenths go by the token, the others by their domain's share of right answers.
    assert abs(np.mean(shares) - 0.85) < 0.06


def test_shuffled_grades_keep_each_domains_share() -> None:
    own, shuffled = (make_world(0, kind, 0.0) for kind in ("own", "shuffled grades"))
    assert own.prompts == shuffled.prompts
    assert not np.array_equal(own.correct, shuffled.correct)
    for domain in range(4):
        rows = own.domain == domain
        assert own.correct[rows].sum() == shuffled.correct[rows].sum()


def test_teaching_moves_what_is_said_towards_the_targets() -> None:
    world = make_world(0, "own", 0.0)
    targets = np.resize([0.1, 0.1, 0.1], int(world.train.sum()))
    before = said(world.lm, world)
    tuned = teach(world, targets, 0)
    after = said(tuned, world)
    remove_adapter(tuned)
    assert abs(after - 0.1).mean() < abs(before - 0.1).mean()
    assert np.array_equal(said(world.lm, world), before)
    assert ((before >= 0) & (before <= SCALE.certain)).all()


def test_random_adapters_differ_by_their_seed() -> None:
    world = make_world(0, "own", 0.0)
    values = []
    for seed in (1, 1, 2):
        tuned = random_adapter(world, seed)
        values.append(said(tuned, world))
        remove_adapter(tuned)
    assert np.array_equal(values[0], values[1])
    assert not np.allclose(values[0], values[2])


def test_the_chain_finds_planted_knowledge_and_random_vectors_cause_nothing() -> None:
    chain = run_chain(make_world(0, "own", 0.0), 0)
    found = {**judge_reading(chain), **judge_donors(chain, "taught")}
    assert list(found) == list(NAMES)
    assert found[STATES].holds
    assert not judge_donors(chain, "equal norm")[CAUSE].holds
