from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from workbench.errors import WorkbenchError
from workbench.probe.logistic import feature_weights, fit, standardiser


def problem(rows: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    spread = np.geomspace(20.0, 0.05, width)
    states = rng.normal(size=(rows, width)) * spread + rng.normal(size=width) * 5
    labels = rng.random(rows) < 1 / (
        1 + np.exp(-(states - states.mean(0)) @ rng.normal(size=width) / 20)
    )
    return states, labels


def solve(states: np.ndarray, labels: np.ndarray, c: list[float]):
    tensor = torch.from_numpy(states)[None]
    scaling = standardiser(tensor)
    standardised = scaling(tensor)
    strengths = torch.tensor(c, dtype=torch.float64)
    repeated = torch.from_numpy(labels.astype(np.float64)).expand(len(c), -1)
    return fit(standardised @ standardised.mT, repeated, strengths), standardised, scaling


@pytest.mark.parametrize(("rows", "width"), [(60, 200), (80, 80), (300, 12), (120, 1500)])
def test_decision_values_are_those_of_sklearn(rows: int, width: int) -> None:
    states, labels = problem(rows, width, seed=rows)
    grid = [1e-4, 1e-2, 1.0, 30.0]
    solutions, standardised, scaling = solve(states, labels, grid)
    ours = solutions.decision(standardised @ standardised.mT)[0].numpy()
    direction, intercept = feature_weights(solutions, standardised, scaling)
    fresh = problem(40, width, seed=1)[0]
    scaler = StandardScaler().fit(states)
    for i, c in enumerate(grid):
        oracle = LogisticRegression(C=c, solver="newton-cg", tol=1e-12, max_iter=10_000)
        oracle.fit(scaler.transform(states), labels)
        np.testing.assert_allclose(
            ours[i], oracle.decision_function(scaler.transform(states)), atol=1e-4
        )
        np.testing.assert_allclose(
            fresh @ direction[0, i].numpy() + intercept[0, i].item(),
            oracle.decision_function(scaler.transform(fresh)),
            atol=1e-4,
        )
        np.testing.assert_allclose(
            (direction[0, i] * scaling.scale[0, 0]).numpy(), oracle.coef_[0], atol=1e-4
        )


def test_two_points_by_hand() -> None:
    """States 3 and 7 standardise to -1 and 1; w = 2 C / (1 + e^w) has the root w = 1 at C = (1 +
    e) / 2, and b = 0.
    """
    solutions, standardised, scaling = solve(
        np.array([[3.0], [7.0]]), np.array([False, True]), [(1 + math.e) / 2]
    )
    assert scaling.mean.item() == 5.0
    assert scaling.scale.item() == 2.0
    direction, intercept = feature_weights(solutions, standardised, scaling)
    assert direction.item() == pytest.approx(0.5, abs=1e-7)
    assert intercept.item() == pytest.approx(-2.5, abs=1e-7)


def test_constant_features_leave_only_the_intercept() -> None:
    states = np.full((8, 3), 0.1)
    solutions, standardised, scaling = solve(
        states, np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=bool), [1.0]
    )
    direction, intercept = feature_weights(solutions, standardised, scaling)
    assert direction.abs().max().item() < 1e-12
    assert intercept.item() == pytest.approx(math.log(3), abs=1e-7)


def test_sites_and_labels_in_one_batch_equal_single_fits() -> None:
    first, labels = problem(50, 90, seed=3)
    second, other = problem(50, 90, seed=4)
    tensor = torch.from_numpy(np.stack([first, second]))
    standardised = standardiser(tensor)(tensor)
    both = torch.from_numpy(np.stack([labels, other]).astype(np.float64))
    together = fit(
        standardised @ standardised.mT, both, torch.tensor([0.1, 0.003], dtype=torch.float64)
    )
    for site, states in enumerate((first, second)):
        for which, (y, c) in enumerate(((labels, 0.1), (other, 0.003))):
            alone, _, _ = solve(states, y, [c])
            np.testing.assert_allclose(together.alpha[site, which], alone.alpha[0, 0], atol=1e-6)


@pytest.mark.parametrize("c", [1e-3, 1.0, 50.0])
def test_the_optimum_does_not_depend_on_the_precision_of_the_factor(c: float, monkeypatch) -> None:
    states, labels = problem(100, 300, seed=6)
    found = []
    for limit in (0.0, math.inf):
        monkeypatch.setattr("workbench.probe.logistic.SINGLE_PRECISION_CONDITION", limit)
        solutions, standardised, _ = solve(states, labels, [c])
        gram = standardised @ standardised.mT
        decision = solutions.decision(gram)[0, 0].numpy()
        residual = c * (labels - 1 / (1 + np.exp(-decision)))
        np.testing.assert_allclose(solutions.alpha[0, 0].numpy(), residual, atol=1e-6 * c)
        assert abs(solutions.alpha.sum().item()) < 1e-8
        found.append(decision)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_a_step_that_overshoots_is_halved() -> None:
    rng = np.random.default_rng(0)
    states = np.concatenate([rng.normal(size=(30, 2)), [[40.0, -40.0]]])
    labels = np.concatenate([states[:30, 0] > 0, [False]])
    solutions, standardised, _ = solve(states, labels, [1e4])
    oracle = LogisticRegression(C=1e4, solver="newton-cg", tol=1e-12, max_iter=10_000)
    oracle.fit(standardised[0].numpy(), labels)
    ours = solutions.decision(standardised @ standardised.mT)[0, 0].numpy()
    np.testing.assert_allclose(
        ours, oracle.decision_function(standardised[0].numpy()), rtol=1e-4, atol=1e-3
    )


def test_mistakes_are_named() -> None:
    states, labels = problem(20, 5, seed=0)
    with pytest.raises(WorkbenchError, match="above 0"):
        solve(states, labels, [0.0])
    with pytest.raises(WorkbenchError, match="right and wrong"):
        solve(states, np.ones(20, dtype=bool), [1.0])
