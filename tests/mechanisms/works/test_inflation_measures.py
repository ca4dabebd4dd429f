"""Shares of an inflation worked out by hand, and what the rule says where numbers are gone."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.measure import Bootstrap, Estimate
from workbench.mechanisms.outcomes import CANNOT_TELL, CONFIRMED, CONTRADICTED
from workbench.mechanisms.works.inflation_circuit import decide_compact_set
from workbench.mechanisms.works.inflation_measures import (
    BRIER_GAIN,
    BRIER_OWN,
    BRIER_SET,
    CARRIED,
    DEPTH,
    INFLATION,
    LIKE,
    MASS,
    MINUS_LIKE,
    REMOVED,
    SET_MINUS_PLATT,
    WRITERS,
    Ablated,
    Corrected,
    measure_ablated,
    measure_correction,
    measure_depth,
)

DRAW = Bootstrap(100, 0)


def ablated(own: float = 0.9, nothing: float = 0.5) -> Ablated:
    """Every wrong answer alike: 0.9 as it is, 0.6 without the set, 0.5 without all writers, 0.86
    without random sets, 0.7 with the set alone and 0.54 with a random set alone.
    """
    one = np.ones(30)
    two = np.ones((30, 2))
    return Ablated(
        0.4,
        own * one,
        0.6 * one,
        0.86 * two,
        0.82 * two,
        nothing * one,
        0.7 * one,
        0.54 * two,
        0.95 * one,
        one,
    )


def test_shares_by_hand() -> None:
    found = {name: each.value for name, each in measure_ablated(ablated(), DRAW).items()}
    assert found == pytest.approx(
        {
            INFLATION: 0.5,
            MASS: 0.95,
            f"{MASS}_{LIKE}": 1.0,
            WRITERS: 0.8,
            REMOVED: 0.75,
            f"{REMOVED}_{LIKE}": 0.1,
            f"{REMOVED}_anywhere": 0.2,
            MINUS_LIKE: 0.65,
            CARRIED: 0.5,
            f"{CARRIED}_{LIKE}": 0.1,
        }
    )


def test_there_is_no_share_of_nothing() -> None:
    """No inflation, and writers that hold up nothing."""
    for found in (ablated(own=0.3, nothing=0.1), ablated(nothing=0.95)):
        assert set(measure_ablated(found, DRAW)) == {INFLATION, MASS, f"{MASS}_{LIKE}"}


def test_depth_is_that_of_the_largest_writers() -> None:
    """Four layers of two writers; those of layers 1 and 4 are chosen: 0.25 and 1."""
    scores = np.zeros((9, 8))
    scores[:, 0], scores[:, 7] = 2.0, 1.0
    found = measure_depth(scores, [1, 1, 2, 2, 3, 3, 4, 4], 2, DRAW)
    assert found[DEPTH].value == found[DEPTH].low == found[DEPTH].high == pytest.approx(0.625)
    assert found[f"{DEPTH}_all"].value == pytest.approx(0.625)
    scores[:, 6] = 1.5
    assert measure_depth(scores, [1, 1, 2, 2, 3, 3, 4, 4], 1, DRAW)[DEPTH].value == 0.25


def test_the_map_is_fitted_on_training_questions() -> None:
    """Half are right whatever is said: the map says a half to all, and its score is a quarter."""
    said = np.tile([0.8, 0.9], 100)
    right = np.repeat([True, False], 100)
    found = measure_correction(
        Corrected(said, right, said, np.full(200, 0.6), right, np.zeros(200, dtype=np.int64)), DRAW
    )
    own = (0.2**2 + 0.1**2 + 0.8**2 + 0.9**2) / 4
    assert found[BRIER_OWN].value == pytest.approx(own)
    assert found[BRIER_SET].value == pytest.approx(0.26)
    assert found[BRIER_GAIN].value == pytest.approx(own - 0.26)
    assert found[SET_MINUS_PLATT].value == pytest.approx(0.01, abs=1e-3)


def near(value: float) -> Estimate:
    return Estimate(value, value - 0.01, value + 0.01, 100)


def test_a_set_without_which_no_numbers_are_written_decides_nothing() -> None:
    for mass, removed, outcome in (
        (0.95, 0.8, CONFIRMED),
        (0.95, 0.3, CONTRADICTED),
        (0.95, 0.5, CANNOT_TELL),
        (0.95, 2.1, CANNOT_TELL),
        (0.4, 0.8, CANNOT_TELL),
        (0.4, 0.3, CANNOT_TELL),
    ):
        found = {MASS: near(mass), REMOVED: near(removed), MINUS_LIKE: near(0.2)}
        assert decide_compact_set(found) == outcome
    found = {MASS: near(0.95), REMOVED: near(0.8), MINUS_LIKE: near(-0.2)}
    assert decide_compact_set(found) == CONTRADICTED
