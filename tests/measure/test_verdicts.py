from __future__ import annotations

import numpy as np
import pytest

from workbench.measure import Estimate
from workbench.measure.verdicts import (
    CLAIMS,
    NAMES,
    STATES,
    TEXT,
    Check,
    Outcome,
    above_half,
    above_other,
    decide,
    states_verdict,
    teaching_verdict,
    text_verdict,
)
from workbench.measure.within_test import WithinTest

RNG = np.random.default_rng(5)
N = 240
DOMAIN = np.resize([0, 1, 2, 3], N)
CORRECT = RNG.random(N) < np.array([0.2, 0.4, 0.6, 0.8])[DOMAIN]
NOISE = RNG.standard_normal((6, N))
KNOWS = CORRECT + 0.8 * NOISE[0]
RATE = np.array([0.2, 0.4, 0.6, 0.8])[DOMAIN]


def check(passed: bool, refuted: bool) -> Check:
    return Check("a number", Estimate(0.6, 0.5, 0.7, 9), 0.5, passed, refuted)


@pytest.mark.parametrize(
    ("checks", "outcome"),
    [
        ([check(True, False), check(True, False)], "holds"),
        ([check(True, False), check(False, False)], "not clear"),
        ([check(True, False), check(False, True)], "does not hold"),
        ([], "not clear"),
    ],
)
def test_all_checks_must_pass_and_one_refutes(checks: list[Check], outcome: Outcome) -> None:
    found = decide(STATES, tuple(checks))
    assert (found.outcome, found.holds) == (outcome, outcome == "holds")
    assert found.rule == CLAIMS[STATES].rule


def test_every_claim_has_its_words() -> None:
    assert set(CLAIMS) == set(NAMES)
    for claim in CLAIMS.values():
        assert len({claim.holds, claim.fails, claim.unclear}) == 3


@pytest.mark.parametrize(
    ("p", "z", "high", "passed", "refuted"),
    [(0.02, 2.1, 0.7, True, False), (0.03, 1.9, 0.7, False, False), (0.9, -1.3, 0.54, False, True)],
)
def test_a_score_is_above_half_by_its_test(
    p: float, z: float, high: float, passed: bool, refuted: bool
) -> None:
    found = above_half("it", WithinTest(0.5, 0.05, z, p), Estimate(0.5, 0.45, high, 99))
    assert (found.passed, found.refuted) == (passed, refuted)


@pytest.mark.parametrize(
    ("low", "high", "least", "passed", "refuted"),
    [
        (0.01, 0.2, 0.0, True, False),
        (-0.01, 0.2, 0.0, False, False),
        (-0.2, -0.01, 0.0, False, True),
        (-0.2, 0.04, 0.05, False, True),
        (0.01, 0.04, 0.05, True, False),
        (np.nan, np.nan, 0.0, False, False),
    ],
)
def test_a_difference_is_judged_by_its_interval(
    low: float, high: float, least: float, passed: bool, refuted: bool
) -> None:
    found = above_other("it", Estimate(0.0, low, high, 99), least)
    assert (found.passed, found.refuted) == (passed, refuted)


def test_a_probe_that_beats_its_rivals_is_found_and_knowing_domains_is_not_enough() -> None:
    rivals = {"domain base rate": RATE, "length": NOISE[1]}
    assert states_verdict(KNOWS, CORRECT, DOMAIN, rivals).holds
    assert not states_verdict(RATE + 0.01 * NOISE[2], CORRECT, DOMAIN, rivals).holds
    same = states_verdict(KNOWS, CORRECT, DOMAIN, {"text": KNOWS + 0.1 * NOISE[3]})
    assert not same.holds


def test_text_of_levels_is_found_and_noise_is_not() -> None:
    assert text_verdict(np.round(KNOWS), CORRECT, DOMAIN).holds
    draws = np.round(np.random.default_rng(0).standard_normal((100, N)))
    assert sum(text_verdict(each, CORRECT, DOMAIN).holds for each in draws) <= 8
    silent = text_verdict(np.full(N, np.nan), CORRECT, DOMAIN)
    assert (silent.name, silent.outcome) == (TEXT, "not clear")


def test_teaching_must_pass_the_chance_of_trainings() -> None:
    weak = CORRECT + 2 * NOISE[0]
    before, control = NOISE[1], NOISE[2]
    assert teaching_verdict(KNOWS, before, control, CORRECT, DOMAIN, 0.05).holds
    assert not teaching_verdict(weak, before, control, CORRECT, DOMAIN, 0.3).holds
    none = teaching_verdict(before, before, control, CORRECT, DOMAIN, 0.05)
    assert not none.holds


def test_a_check_is_written_with_its_numbers() -> None:
    assert str(check(True, False)) == "a number 0.60 [0.50, 0.70], p 0.5"
    nothing = Estimate(np.nan, np.nan, np.nan, 3)
    assert str(Check("it is so", nothing, np.nan, True, False)) == "it is so: yes"
