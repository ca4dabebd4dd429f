from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.probe import (
    Direction,
    LayerPosition,
    ProbeSettings,
    confidence_direction,
    correctness_direction,
    cosine,
    fit_layerwise,
)

WIDTH = 24
SPREAD = np.geomspace(5.0, 0.2, WIDTH)
ALPHAS = (0.1, 1.0, 10.0, 100.0)


def planted(
    rows: int, same: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    knows, says = np.linalg.qr(rng.normal(size=(WIDTH, 2)))[0].T
    if same:
        says = knows
    standard = rng.normal(size=(rows, WIDTH))
    correct = rng.random(rows) < 1 / (1 + np.exp(-4 * standard @ knows))
    confidence = 60 + 10 * standard @ says + rng.normal(size=rows)
    return 3.0 + standard * SPREAD, correct, confidence, knows, says


@pytest.mark.parametrize(("same", "low", "high"), [(False, -0.15, 0.15), (True, 0.95, 1.0)])
def test_planted_directions_are_recovered_with_their_angle(
    same: bool, low: float, high: float
) -> None:
    states, correct, confidence, knows, says = planted(900, same)
    probe = fit_layerwise(
        states[:, None, None], correct, ProbeSettings(4, 3, (0.1, 1.0, 10.0), seed=0)
    )
    first = correctness_direction(probe, LayerPosition(0, 0))
    second = confidence_direction(states, confidence, ALPHAS)
    assert first.standardised @ knows / np.linalg.norm(first.standardised) > 0.95
    assert second.standardised @ says / np.linalg.norm(second.standardised) > 0.99
    assert low < cosine(first, second) < high


def test_the_ridge_direction_predicts_confidence_in_raw_units_and_skips_unparsed_rows() -> None:
    states, _, confidence, _, _ = planted(400, same=False)
    missing = confidence.copy()
    missing[::7] = np.nan
    direction = confidence_direction(states, missing, ALPHAS)
    assert np.abs(states @ direction.weights + direction.intercept - confidence).mean() < 1.2


def test_cosine_by_hand() -> None:
    """On scales (1, 2) the weights (3, 2) and (4, -1.5) become (3, 4) and (4, -3), which are
    orthogonal.
    """
    scale = np.array([1.0, 2.0])
    first = Direction(np.array([3.0, 2.0]), 0.0, scale)
    assert cosine(first, Direction(np.array([4.0, -1.5]), 0.0, np.ones(2))) == pytest.approx(0.0)
    assert cosine(first, Direction(np.array([6.0, 4.0]), 1.0, scale)) == pytest.approx(1.0)
    assert cosine(first, Direction(np.array([3.0, 0.0]), 1.0, scale)) == pytest.approx(0.6)
    assert np.isnan(cosine(first, Direction(np.zeros(2), 0.0, scale)))


def test_mistakes_are_named() -> None:
    states, _, confidence, _, _ = planted(40, same=False)
    with pytest.raises(WorkbenchError, match="every confidence is the same"):
        confidence_direction(states, np.full(40, 95.0), ALPHAS)
    with pytest.raises(WorkbenchError, match="one layer and position"):
        confidence_direction(states[:, None], confidence, ALPHAS)
    with pytest.raises(WorkbenchError, match="at least 10"):
        confidence_direction(states[:5], confidence[:5], ALPHAS)
