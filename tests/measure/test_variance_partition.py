from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, variance_partition
from workbench.measure.cross_fit import folds_of

DRAW = Bootstrap(200, 0)
RNG = np.random.default_rng(0)
N = 300
A, B, C = RNG.normal(size=(3, N))
MIXED = 0.6 * A + 0.8 * B
TARGET = A + 0.5 * C + RNG.normal(size=N)


def test_in_sample_parts_are_differences_of_r_squared() -> None:
    found = variance_partition(TARGET, {"a": A, "m": MIXED, "c": C}, DRAW, in_sample=True)

    def share(*columns: np.ndarray) -> float:
        x = np.column_stack(columns)
        return r2_score(TARGET, LinearRegression().fit(x, TARGET).predict(x))

    joint = share(A, MIXED, C)
    assert found.joint.value == pytest.approx(joint)
    assert found.parts["a"].alone.value == pytest.approx(share(A))
    assert found.parts["m"].unique.value == pytest.approx(joint - share(A, C))
    unique = sum(part.unique.value for part in found.parts.values())
    assert found.shared.value == pytest.approx(joint - unique)


def test_cross_validated_parts_are_of_questions_not_fitted() -> None:
    found = variance_partition(TARGET, {"a": A, "c": C}, DRAW)
    x, fold, predicted = np.column_stack([A, C]), folds_of(N), np.zeros(N)
    for at in np.unique(fold):
        own = fold == at
        predicted[own] = LinearRegression().fit(x[~own], TARGET[~own]).predict(x[own])
    assert found.joint.value == pytest.approx(r2_score(TARGET, predicted))


def test_what_is_planted_is_found() -> None:
    found = variance_partition(TARGET, {"a": A, "m": MIXED, "c": C}, DRAW)
    assert found.parts["a"].unique.low > 0.1
    assert found.parts["c"].unique.low > 0.02
    assert found.parts["m"].alone.low > 0.02
    assert found.parts["m"].unique.value < 0.01
    # The mixture of a explains what a explains already: shared.
    assert found.shared.value > 0.05


def test_a_useless_predictor_is_negative_held_out_and_positive_in_sample() -> None:
    noise = np.random.default_rng(1).normal(size=(N, 20))
    held_out, fitted = (
        variance_partition(TARGET, {"a": A, "noise": noise}, DRAW, in_sample=kind)
        for kind in (False, True)
    )
    assert held_out.parts["noise"].unique.value < 0 < fitted.parts["noise"].unique.value
    for found in (held_out, fitted):
        assert found.parts["noise"].unique.low < 0 < found.parts["noise"].unique.high


def test_suppression_makes_the_shared_part_negative() -> None:
    found = variance_partition(A, {"noisy": A + 2 * B, "noise": B}, DRAW)
    assert found.parts["noise"].alone.value < 0.02
    assert found.joint.value > 0.99
    assert found.shared.high < -0.5


def test_intervals_cover_the_shares_of_endless_questions() -> None:
    """y = 0.3 a + noise of one: a alone explains 0.09 / 1.09, the mixture 0.36 of that."""
    truth = {"joint": 0.09 / 1.09, "a": 0.64 * 0.09 / 1.09, "m": 0.0}
    missed = dict.fromkeys(truth, 0)
    for seed in range(120):
        rng = np.random.default_rng(seed)
        a, b, e = rng.normal(size=(3, 60))
        found = variance_partition(0.3 * a + e, {"a": a, "m": 0.6 * a + 0.8 * b}, DRAW)
        each = {"joint": found.joint, **{name: found.parts[name].unique for name in "am"}}
        for name, value in truth.items():
            missed[name] += not each[name].low <= value <= each[name].high
    assert max(missed.values()) / 120 < 0.1


def test_gaps_are_left_out_and_what_cannot_be_shared_is_refused() -> None:
    gap = A.copy()
    gap[:10] = np.nan
    assert variance_partition(TARGET, {"a": gap, "c": C}, DRAW).joint.n == N - 10
    with pytest.raises(WorkbenchError, match="at least two predictors"):
        variance_partition(TARGET, {"a": A}, DRAW)
    with pytest.raises(WorkbenchError, match="'c' has 299 rows"):
        variance_partition(TARGET, {"a": A, "c": C[1:]}, DRAW)
    with pytest.raises(WorkbenchError, match="no variance to share out"):
        variance_partition(np.ones(N), {"a": A, "c": C}, DRAW)
    with pytest.raises(WorkbenchError, match="too few to regress on 101 columns"):
        variance_partition(TARGET, {"a": A, "wide": RNG.normal(size=(N, 100))}, DRAW)


def test_a_predictor_of_hardly_any_other_value_has_no_interval() -> None:
    odd = np.zeros(N)
    odd[:4] = 1
    found = variance_partition(TARGET, {"a": A, "odd": odd}, DRAW)
    assert np.isnan(found.parts["odd"].unique.low)
    assert np.isnan(found.joint.low)
    assert not np.isnan(found.parts["a"].alone.low)
