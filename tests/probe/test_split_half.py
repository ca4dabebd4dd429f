from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from workbench.errors import WorkbenchError
from workbench.probe.split_half import Target, compare_directions, cosine_of


def planted(
    seed: int, *, cosine: float, noise: float = 2.0, n: int = 400, width: int = 24
) -> tuple[Target, Target]:
    """Two values along directions with this cosine, each with noise."""
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((n, width))
    states -= states.mean(axis=0)
    along = cosine * states[:, 0] + np.sqrt(1 - cosine**2) * states[:, 1]
    values = [each + noise * rng.standard_normal(n) for each in (states[:, 0], along)]
    first, second = (Target(states, each - each.mean(), 20.0) for each in values)
    return first, second


@pytest.mark.parametrize("width", [5, 60])
def test_a_probe_is_a_ridge_regression_on_either_side(width: int) -> None:
    """Fewer questions than features are solved among questions, more among features."""
    rng = np.random.default_rng(0)
    states, values = rng.standard_normal((30, width)), rng.standard_normal(30)
    states, values = states - states.mean(axis=0), values - values.mean()
    rows = np.arange(30)
    sklearn = Ridge(alpha=3.0).fit(states, values).coef_
    np.testing.assert_allclose(Target(states, values, 3.0).direction(rows), sklearn, atol=1e-9)
    half = np.array([0, 1, 3, 4, 9, 11, 20, 21, 22, 5])
    sklearn = Ridge(alpha=1.0).fit(states[half], values[half]).coef_
    np.testing.assert_allclose(Target(states, values, 3.0).direction(half), sklearn, atol=1e-9)
    right = values > 0
    means = states[right].mean(axis=0) - states[~right].mean(axis=0)
    graded = Target(states, right - right.mean(), None).direction(rows)
    assert cosine_of(graded, means) == pytest.approx(1)


def test_the_correction_finds_the_planted_cosine_that_noise_hides() -> None:
    for cosine in (0.0, 0.6, -0.6):
        found = [
            compare_directions(*planted(seed, cosine=cosine), halvings=6, blocks=0, seed=seed)
            for seed in range(40)
        ]
        corrected = np.mean([each.corrected.value for each in found])
        assert corrected == pytest.approx(cosine, abs=0.1)
        raw = np.mean([each.cosine for each in found])
        assert abs(raw) <= abs(cosine) * 0.85 + 0.08
        assert all(0.3 < each.first.value < 0.9 for each in found)
        assert all(np.isnan(each.corrected.low) for each in found)


def test_intervals_cover_and_one_direction_is_one() -> None:
    covered = 0
    for seed in range(30):
        found = compare_directions(
            *planted(seed, cosine=0.3, n=200), halvings=6, blocks=12, seed=seed
        )
        covered += found.corrected.low <= 0.3 <= found.corrected.high
    assert covered >= 26
    first, _ = planted(0, cosine=0.0)
    same = compare_directions(first, first, halvings=4, blocks=5, seed=0)
    assert same.corrected.value == pytest.approx(1)
    assert same.cosine == pytest.approx(1)


def test_noise_that_both_values_share_is_no_direction() -> None:
    """Fitted on the same questions, both directions would follow it."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        states, noise = rng.standard_normal((300, 24)), 2 * rng.standard_normal(300)
        states -= states.mean(axis=0)
        values = [states[:, feature] + noise for feature in (0, 1)]
        targets = [Target(states, each - each.mean(), 20.0) for each in values]
        compared = compare_directions(*targets, halvings=6, blocks=0, seed=seed)
        found.append((compared.corrected.value, compared.cosine))
    corrected, raw = np.mean(found, axis=0)
    assert abs(corrected) < 0.15
    assert raw > 0.15


def test_values_that_are_noise_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    first, _ = planted(0, cosine=0.0)
    noise = rng.standard_normal(400)
    nothing = Target(first.states, noise - noise.mean(), 20.0)
    found = compare_directions(first, nothing, halvings=6, blocks=12, seed=0)
    assert abs(found.second.value) < 0.15
    assert np.isnan(found.corrected.low)


def test_what_cannot_be_compared() -> None:
    first, second = planted(0, cosine=0.0)
    with pytest.raises(WorkbenchError, match="a value each"):
        Target(first.states, first.values[:-1], None)
    with pytest.raises(WorkbenchError, match="above 0"):
        Target(first.states, first.values, 0.0)
    with pytest.raises(WorkbenchError, match="cannot be compared"):
        compare_directions(
            first,
            Target(second.states[:, :5], second.values, None),
            halvings=2,
            blocks=0,
            seed=0,
        )
    few = Target(first.states[:10], first.values[:10], None)
    with pytest.raises(WorkbenchError, match="at least 20"):
        compare_directions(few, few, halvings=2, blocks=0, seed=0)
