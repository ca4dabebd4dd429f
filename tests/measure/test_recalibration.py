import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from workbench.errors import WorkbenchError
from workbench.measure import (
    RECALIBRATIONS,
    auroc2,
    isotonic,
    platt,
    recalibrated_scores,
    temperature,
)

RNG = np.random.default_rng(2)
N = 4000
TRUE = RNG.uniform(0.05, 0.95, N)
CORRECT = RNG.random(N) < TRUE
GRID = np.linspace(0, 1, 201)


def test_temperature_finds_the_one_that_was_used() -> None:
    stretched = expit(2 * logit(TRUE))
    assert np.allclose(temperature(stretched, CORRECT)(stretched), TRUE, atol=0.03)


def test_platt_finds_slope_and_offset() -> None:
    moved = expit(2 * logit(TRUE) + 1)
    assert np.allclose(platt(moved, CORRECT)(moved), TRUE, atol=0.04)


def test_platt_is_the_maximum_of_the_likelihood() -> None:
    p = np.clip(TRUE**2, 0.01, 0.99)
    odds = logit(p)
    mapped = platt(p, CORRECT)(p)
    # At the maximum residuals are orthogonal to the constant and to the log-odds.
    assert abs(np.mean(mapped - CORRECT)) < 1e-5
    assert abs(np.mean((mapped - CORRECT) * odds)) < 1e-5


def test_isotonic_by_hand_pools_the_violators() -> None:
    fitted = isotonic([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
    assert np.allclose(fitted(np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.9])), [0, 0, 0.5, 0.5, 1, 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_maps_are_monotone_and_stay_on_the_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(40), 1)
    y = np.r_[True, False, rng.random(38) < 0.5]
    for name, fit in RECALIBRATIONS.items():
        mapped = fit(p, y)(GRID)
        steps = np.diff(mapped)
        assert (mapped >= 0).all()
        assert (mapped <= 1).all()
        assert (steps >= -1e-12).all() or (name == "platt" and (steps <= 1e-12).all())


def test_temperature_keeps_the_order_and_the_half() -> None:
    mapped = temperature(TRUE**3, CORRECT)(TRUE)
    assert np.isclose(auroc2(mapped, CORRECT), auroc2(TRUE, CORRECT))
    assert np.array_equal(mapped > 0.5, TRUE > 0.5)


def test_scores_are_of_the_held_out_answers_only() -> None:
    stated = expit(3 * logit(TRUE))
    fit_on = np.arange(N) < N // 2
    scores = recalibrated_scores(stated, CORRECT, fit_on)
    assert set(scores) == {"none", *RECALIBRATIONS}
    for name in RECALIBRATIONS:
        assert scores[name].ece < scores["none"].ece
        assert scores[name].log_score < scores["none"].log_score
    # Grades of the fitting half decide the maps, not what is scored.
    flipped = CORRECT.copy()
    flipped[fit_on] ^= True
    assert recalibrated_scores(stated, flipped, fit_on)["none"] == scores["none"]
    assert recalibrated_scores(stated, flipped, fit_on)["platt"] != scores["platt"]


def test_unparsed_stay_unparsed() -> None:
    p = np.array([0.2, 0.8, np.nan])
    for fit in RECALIBRATIONS.values():
        mapped = fit(p, [0, 1, 1])(p)
        assert np.isnan(mapped).tolist() == [False, False, True]
        assert np.isnan(fit(p, [0, 1, 1])(np.array([np.nan]))).all()


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="one kind only"):
        recalibrated_scores([0.1, 0.2, 0.3], [1, 1, 0], [True, True, False])
    with pytest.raises(WorkbenchError, match="left to be scored"):
        recalibrated_scores([0.1, 0.2, np.nan], [1, 0, 0], [True, True, False])
    with pytest.raises(WorkbenchError, match="fit_on"):
        recalibrated_scores([0.1, 0.2], [1, 0], [True])
