from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from workbench.errors import WorkbenchError
from workbench.probe.primal import SAMPLED, PrimalFits, Problems, fit_primal
from workbench.probe.site_rows import open_rows

GRID = (1e-4, 1e-2, 1.0, 30.0)


def problem(rows: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    spread = np.geomspace(20.0, 0.05, width)
    mixed = rng.normal(size=(rows, width)) * spread @ rng.normal(size=(width, width)) / width**0.5
    states = (mixed + rng.normal(size=width) * 5).astype(np.float32)
    told = (states - states.mean(0)) @ rng.normal(size=width) / 20
    return states, rng.random(rows) < 1 / (1 + np.exp(-told / told.std()))


def solve(
    states: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    grid: tuple[float, ...] = GRID,
    memory: int = 10**9,
    together: int = 100,
) -> PrimalFits:
    def read(most: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for start in range(0, len(states), most):
            rows = np.arange(start, min(start + most, len(states)))
            yield rows, torch.from_numpy(states[rows])

    rows = open_rows(read, *states.shape, memory, SAMPLED)
    count = len(splits) * len(grid)
    problems = Problems(
        torch.from_numpy(labels).expand(count, -1),
        torch.from_numpy(splits),
        torch.arange(len(splits)).repeat_interleave(len(grid)),
        torch.tensor(grid, dtype=torch.float64).repeat(len(splits)),
    )
    return fit_primal(rows, problems, together)


def halves(rows: int) -> np.ndarray:
    """Two splits that overlap, and all rows."""
    return np.stack([np.arange(rows) % 3 != 0, np.arange(rows) % 4 != 1, np.ones(rows, dtype=bool)])


@pytest.mark.parametrize(("rows", "width"), [(60, 200), (300, 12), (700, 90)])
def test_log_odds_and_auroc2_are_those_of_sklearn(rows: int, width: int) -> None:
    states, labels = problem(rows, width, seed=rows)
    splits = halves(rows)
    fits = solve(states, labels, splits)
    for number, (which, c) in enumerate((split, c) for split in range(3) for c in GRID):
        train, rest = splits[which], ~splits[which] if which < 2 else splits[which]
        scaler = StandardScaler().fit(states[train].astype(np.float64))
        features = scaler.transform(states.astype(np.float64))
        oracle = LogisticRegression(C=c, solver="newton-cg", tol=1e-12, max_iter=10_000)
        wanted = oracle.fit(features[train], labels[train]).decision_function(features)
        found = fits.decision[number].numpy()
        assert np.abs(found - wanted).max() < 0.01 * max(1.0, wanted.std())
        assert roc_auc_score(labels[rest], found[rest]) == pytest.approx(
            roc_auc_score(labels[rest], wanted[rest]), abs=0.005
        )
        raw = (
            states.astype(np.float64) @ fits.weights[number].numpy() + fits.intercept[number].item()
        )
        np.testing.assert_allclose(raw, found, atol=1e-3 * max(1.0, wanted.std()))
        np.testing.assert_allclose(fits.mean[which], scaler.mean_, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(fits.scale[which], scaler.scale_, rtol=1e-5)


def test_two_points_by_hand() -> None:
    """States 3 and 7 standardise to -1 and 1; w = 2 C / (1 + e^w) has the root w = 1 at C = (1 +
    e) / 2, and b = 0.
    """
    fits = solve(
        np.array([[3.0, 1.0], [7.0, 1.0]], dtype=np.float32),
        np.array([False, True]),
        np.ones((1, 2), dtype=bool),
        ((1 + math.e) / 2,),
    )
    assert fits.weights[0].tolist() == pytest.approx([0.5, 0.0], abs=1e-3)
    assert fits.intercept.item() == pytest.approx(-2.5, abs=5e-3)


def test_blocks_and_groups_of_problems_change_nothing() -> None:
    states, labels = problem(300, 40, seed=1)
    wanted = solve(states, labels, halves(300))
    for memory, together in ((40 * 4 * 4 * 70, 100), (10**9, 5), (1, 1)):
        found = solve(states, labels, halves(300), memory=memory, together=together)
        for one, other in zip(found.decision, wanted.decision, strict=True):
            np.testing.assert_allclose(one, other, atol=3e-3 * max(1.0, other.std().item()))


def test_a_feature_that_is_constant_where_it_trains_has_no_say_there() -> None:
    states, labels = problem(80, 6, seed=2)
    splits = halves(80)
    states[splits[0], 3] = 4.25
    states[:, 5] = 0.1
    fits = solve(states, labels, splits)
    inside, outside = fits.weights[: len(GRID), 3], fits.weights[len(GRID) :, 3]
    assert inside.abs().max().item() < 1e-3
    assert outside.abs().max().item() > 0.02
    assert fits.weights[:, 5].abs().max().item() < 1e-3


def test_separable_classes_of_a_weak_penalty_converge() -> None:
    states, labels = problem(50, 400, seed=3)
    fits = solve(states, labels, np.ones((1, 50), dtype=bool), (1e3,))
    signed = np.where(labels, 1, -1) * fits.decision[0].numpy()
    assert signed.min() > 3


def test_labels_outside_a_split_change_nothing_in_it() -> None:
    """Up to rounding: how many other problems share a product decides its order of sums."""
    states, labels = problem(90, 30, seed=4)
    splits = halves(90)
    other = labels.copy()
    other[~splits[0]] = ~other[~splits[0]]
    before, after = solve(states, labels, splits), solve(states, other, splits)
    count = len(GRID)
    np.testing.assert_allclose(before.decision[:count], after.decision[:count], atol=5e-3)
    assert (before.decision[count:] - after.decision[count:]).abs().max() > 0.5


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    states, labels = problem(40, 5, seed=0)
    everyone = np.ones((1, 40), dtype=bool)
    with pytest.raises(WorkbenchError, match="above 0"):
        solve(states, labels, everyone, (0.0,))
    with pytest.raises(WorkbenchError, match="right and wrong"):
        solve(states, np.ones(40, dtype=bool), everyone)
    monkeypatch.setattr("workbench.probe.primal.MAX_STEPS", 1)
    with pytest.raises(WorkbenchError, match=r"did not converge for C = \[0.0001, 0.01, 1.0, 30.0"):
        solve(states, labels, everyone)
