from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from workbench.bottleneck.verdict import (
    ALL_SAID,
    FIXED_MAP,
    NO_SIGNAL,
    NOT_CARRIED,
    NOT_IN_NUMBERS,
    NOT_IN_TEXT,
    STATIONS,
    TEACHING,
    BottleneckVerdict,
    Station,
    judge,
)
from workbench.errors import WorkbenchError

KNOWS = 0.8


def world(seed: int, told: Sequence[bool], n: int = 240) -> BottleneckVerdict:
    """Four stations that tell (one noisy knowledge of the grade, read with a little noise of their
    own) or do not; the text writes tenths.
    """
    rng = np.random.default_rng(seed)
    correct, domain = rng.random(n) < 0.45, rng.integers(0, 3, n)
    knowledge = correct + rng.normal(0, KNOWS, n)
    stations = []
    for name, tells in zip(STATIONS, told, strict=True):
        scores = (knowledge if tells else rng.normal(0, 1, n)) + rng.normal(0, 0.1, n)
        stations.append(Station(name, np.round(scores, 1) if name == STATIONS[-1] else scores))
    mapped = np.round(knowledge, 1)
    return judge(stations, correct, domain, {FIXED_MAP: mapped if told[2] else mapped * 0})


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ((0, 0, 0, 0), NO_SIGNAL),
        ((1, 0, 0, 0), NOT_CARRIED),
        ((1, 1, 0, 0), NOT_IN_NUMBERS),
        ((1, 1, 1, 0), NOT_IN_TEXT),
        ((1, 1, 1, 1), ALL_SAID),
    ],
)
def test_planted_losses_are_named(told: tuple[int, ...], verdict: str) -> None:
    found = [world(seed, [bool(each) for each in told]) for seed in range(40)]
    assert np.mean([each.verdict == verdict for each in found]) >= 0.95
    wanted = FIXED_MAP if verdict == NOT_IN_TEXT else ""
    assert all(each.remedy == wanted for each in found if each.verdict == verdict)


def test_nothing_is_mostly_called_nothing() -> None:
    found = [world(seed, (False,) * 4, 120).verdict for seed in range(400)]
    assert np.mean([verdict != NO_SIGNAL for verdict in found]) < 0.05


def test_a_text_that_is_always_the_same_says_nothing() -> None:
    rng = np.random.default_rng(0)
    correct, domain = rng.random(300) < 0.5, np.zeros(300, dtype=int)
    knows = correct + rng.normal(0, 0.5, 300)
    stations = [Station(name, knows) for name in STATIONS[:3]]
    found = judge([*stations, Station(STATIONS[3], np.ones(300))], correct, domain)
    assert found.verdict == NOT_IN_TEXT
    assert found.remedy == ""
    assert found.stations[3].kept == 0
    taught = judge(
        [*stations, Station(STATIONS[3], np.ones(300))], correct, domain, {TEACHING: knows}
    )
    assert taught.remedy == TEACHING


def test_too_few_answers_or_one_kind_are_refused() -> None:
    stations = [Station(name, np.arange(30.0)) for name in STATIONS]
    with pytest.raises(WorkbenchError, match="at least 40 held-out answers"):
        judge(stations, np.arange(30) < 10, np.zeros(30))
    more = [Station(name, np.arange(50.0)) for name in STATIONS]
    with pytest.raises(WorkbenchError, match="50 right and 0 wrong"):
        judge(more, np.ones(50, dtype=bool), np.zeros(50))
    with pytest.raises(WorkbenchError, match="in this order"):
        judge(more[::-1], np.arange(50) < 10, np.zeros(50))


def test_a_text_without_any_number_says_nothing() -> None:
    rng = np.random.default_rng(0)
    correct, domain = rng.random(300) < 0.5, np.zeros(300, dtype=int)
    knows = correct + rng.normal(0, 0.5, 300)
    stations = [Station(name, knows) for name in STATIONS[:3]]
    found = judge([*stations, Station(STATIONS[3], np.full(300, np.nan))], correct, domain)
    same = judge([*stations, Station(STATIONS[3], np.ones(300))], correct, domain)
    assert found.verdict == same.verdict == NOT_IN_TEXT
    assert found.stations[3].loss == same.stations[3].loss
