from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from workbench.bench import planted_remedies
from workbench.bench.planted_bottlenecks import (
    CASES,
    DROWNED,
    TOLD,
    TRAINING,
    UNTOLD,
    Case,
    make_planted_world,
    slope_of,
)
from workbench.bench.planted_remedies import write_mapped
from workbench.bench.planted_tokens import level_scores
from workbench.bench.planted_verdicts import judge_planted
from workbench.bottleneck.rank_one_map import Strength
from workbench.elicit.readout import read_confidence
from workbench.measure import auroc2, auroc2_within


def test_the_slope_gives_the_clue_the_strength_asked_for() -> None:
    rng = np.random.default_rng(0)
    base = np.array([-0.8, 0.1, 0.6])
    slope = slope_of(0.75, base)
    score = level_scores()[rng.integers(0, 6, 60_000)]
    told = [auroc2(score, rng.random(len(score)) < expit(one + slope * score)) for one in base]
    assert abs(np.mean(told) - 0.75) < 0.01


def test_a_null_world_differs_in_its_grades_alone() -> None:
    own, null = (
        make_planted_world(TOLD, 3, held_out=60, strength=0.9, null=null) for null in (False, True)
    )
    assert own.conversations == null.conversations
    assert np.array_equal(own.train, null.train)
    assert len(own.train) == TRAINING + 60
    assert not np.array_equal(own.correct, null.correct)
    for one in np.unique(own.domain):
        rows = own.domain == one
        assert own.correct[rows].sum() == null.correct[rows].sum()
    assert auroc2_within(own.clue, own.correct, own.domain) > 0.85
    assert abs(auroc2_within(null.clue, null.correct, null.domain) - 0.5) < 0.12


def test_domains_are_of_unequal_base_rate() -> None:
    world = make_planted_world(UNTOLD, 0, held_out=200, strength=0.6)
    rates = [world.correct[world.domain == one].mean() for one in np.unique(world.domain)]
    assert len(rates) >= 3
    assert np.ptp(rates) > 0.15


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_planted_losses_are_found(case: Case) -> None:
    found = judge_planted(make_planted_world(case, 2, held_out=120, strength=0.9, training=120))
    assert (found.verdict, found.remedy) == (case.verdict, case.remedy)


def test_a_rank_one_map_of_no_strength_writes_what_the_model_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = make_planted_world(DROWNED, 2, held_out=40, strength=0.8)
    asked = zip(world.conversations, world.train, strict=True)
    held_out = [one for one, train in asked if not train]
    stated = read_confidence(world.planted.lm, held_out, world.words.scale).stated
    clue = np.repeat(expit(world.clue)[:, None], world.planted.lm.n_layers, axis=1)
    values = world.words.scale.scale.values
    distribution = np.full((int(world.train.sum()), len(values)), 1 / len(values))
    given = clue[world.train], clue[~world.train], distribution
    moved = write_mapped(world, *given)
    assert not np.isnan(moved).any()
    apart = [np.corrcoef(world.clue[~world.train], each)[0, 1] for each in (moved, stated)]
    assert apart[0] > 0.6 > abs(apart[1]) + 0.2
    monkeypatch.setattr(planted_remedies, "candidates", lambda *_: [Strength(1, 0.0, 0.0)])
    monkeypatch.setattr(planted_remedies, "UPPER", world.planted.lm.n_layers)
    certain = world.words.scale.scale.certain
    assert np.array_equal(write_mapped(world, *given) / certain, stated)
