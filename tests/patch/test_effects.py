from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from workbench.errors import WorkbenchError
from workbench.patch.effects import (
    Sweep,
    clipped_mean_shift,
    following,
    half_layer,
    layer_gradient,
    max_readout_change,
    mean_shift,
    permutation_p,
    ramp_distance,
    slope_noise_floor,
    spearman_rows,
)

LAYERS = np.array([0, 1, 2])


def small() -> Sweep:
    """Two items with distances 0.4 and 0.1 that move 0, half and all the way, and 0, all and
    twice the way.
    """
    base = np.array([0.2, 0.5])
    donor = np.array([0.6, 0.6])
    return Sweep(LAYERS, base, donor, np.array([[0.2, 0.4, 0.6], [0.5, 0.6, 0.7]]))


def planted(donor_slope: float, base_slope: float, items: int = 200, noise: float = 0.0) -> Sweep:
    rng = np.random.default_rng(0)
    base, donor = rng.uniform(size=items), rng.uniform(size=items)
    patched = 0.1 + np.stack([donor_slope * donor + base_slope * base, base], axis=1)
    return Sweep(np.array([4, 9]), base, donor, patched + noise * rng.normal(size=(items, 2)))


def test_the_shift_is_a_ratio_of_means() -> None:
    """Moved (.0 .15 .3) on average over a mean distance of .25; per item and clipped it is (0
    .75 1).
    """
    curve = mean_shift(small(), resamples=200, seed=0)
    assert curve.value == pytest.approx([0, 0.15 / 0.25, 0.3 / 0.25])
    assert clipped_mean_shift(small()) == pytest.approx([0, 0.75, 1])
    # Two items: a resample holds the first twice, the second twice, or both.
    assert curve.low == pytest.approx([0, 0.5, 1])
    assert curve.high == pytest.approx([0, 1, 2])


def test_a_span_replaces_the_distance() -> None:
    curve = mean_shift(small(), resamples=10, seed=0, span=np.array([0.2, 0.4]))
    assert curve.value == pytest.approx([0, 0.5, 1])


def test_items_whose_donor_says_the_same_are_left_out_of_the_clipped_mean() -> None:
    sweep = small()
    still = Sweep(LAYERS, sweep.base, sweep.base + 0.005, sweep.patched)
    assert np.isnan(clipped_mean_shift(still)).all()
    half = Sweep(LAYERS, sweep.base, np.array([0.6, 0.505]), sweep.patched)
    assert clipped_mean_shift(half) == pytest.approx([0, 0.5, 1])


def test_following_recovers_planted_slopes() -> None:
    donor, base = following(planted(0.7, 0.2), resamples=100, seed=1)
    assert donor.value == pytest.approx([0.7, 0.0], abs=1e-9)
    assert base.value == pytest.approx([0.2, 1.0], abs=1e-9)
    assert donor.low == pytest.approx(donor.high, abs=1e-9)


def test_intervals_of_following_hold_the_planted_slopes() -> None:
    sweep = planted(0.7, 0.2, noise=0.1)
    donor, base = following(sweep, resamples=400, seed=1)
    design = np.stack([np.ones(200), sweep.donor, sweep.base], axis=1)
    solution = np.linalg.lstsq(design, sweep.patched, rcond=None)[0]
    assert donor.value == pytest.approx(solution[1])
    assert base.value == pytest.approx(solution[2])
    # Slope error of noise 0.1 over 200 uniform values: 0.1 / sqrt(200 / 12) = 0.024, so intervals
    # near +-0.048.
    width = donor.high - donor.low
    assert (width > 0.06).all()
    assert (width < 0.14).all()
    assert donor.low[0] < 0.7 < donor.high[0]
    assert base.low[0] < 0.2 < base.high[0]


def test_a_moved_level_is_a_shift_without_following() -> None:
    """Every patch sets the readout up by the mean distance, whoever the donor is."""
    rng = np.random.default_rng(3)
    base, donor = rng.uniform(0, 0.3, size=100), rng.uniform(0.6, 1, size=100)
    level = Sweep(np.array([0]), base, donor, (base + (donor - base).mean())[:, None])
    assert mean_shift(level, resamples=10, seed=0).value == pytest.approx([1])
    donor_slope, base_slope = following(level, resamples=10, seed=0)
    assert donor_slope.value == pytest.approx([0], abs=1e-9)
    assert base_slope.value == pytest.approx([1], abs=1e-9)


def test_the_half_layer_is_the_first_beyond_one_half() -> None:
    assert half_layer(np.array([2, 5, 9]), np.array([0.1, 0.51, 0.4])) == 5
    assert half_layer(np.array([2, 5, 9]), np.array([0.1, 0.5, 0.4])) is None


def test_rank_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(5)
    curves = np.concatenate([rng.normal(size=(20, 7)), rng.integers(0, 3, size=(20, 7))])
    layers = np.array([0, 2, 3, 7, 8, 11, 30])
    expected = [spearmanr(layers, curve).statistic for curve in curves]
    assert spearman_rows(layers, curves) == pytest.approx(np.asarray(expected))


def test_the_layer_gradient_is_that_of_the_mean_shift() -> None:
    rng = np.random.default_rng(6)
    layers = np.arange(6)
    base, donor = rng.uniform(0, 0.4, size=30), rng.uniform(0.5, 1, size=30)
    share = np.array([0.0, 0.3, 0.2, 0.5, 0.9, 0.8])
    patched = base[:, None] + (donor - base)[:, None] * share + 0.05 * rng.normal(size=(30, 6))
    sweep = Sweep(layers, base, donor, patched)
    estimate = layer_gradient(sweep)
    curve = mean_shift(sweep, resamples=10, seed=0).value
    assert estimate.value == pytest.approx(spearmanr(layers, curve).statistic)
    assert np.isnan(estimate.low)
    assert estimate.n == 30


def test_the_permutation_test_counts_orders() -> None:
    """Of the 24 orders of four layers one is as good as a rising curve, and half have a rho of
    at least zero.
    """
    layers, rising = np.arange(4), np.array([0.1, 0.2, 0.3, 0.4])
    exact = (
        sum(spearmanr(layers, order).statistic > 1 - 1e-9 for order in permutations(rising)) / 24
    )
    assert exact == 1 / 24
    draws = 20_000
    tolerance = 4 * np.sqrt(exact * (1 - exact) / draws)
    assert permutation_p(layers, rising, permutations=draws, seed=0) == pytest.approx(
        exact, abs=tolerance
    )
    assert permutation_p(layers, rising[::-1], permutations=99, seed=0) == 1.0
    assert permutation_p(np.arange(30), np.arange(30.0), permutations=99, seed=0) == pytest.approx(
        1 / 100
    )


def test_distance_from_a_ramp() -> None:
    layers = np.array([0, 5, 10])
    assert ramp_distance(layers, np.array([0, 0.5, 1])) == 0
    assert ramp_distance(layers, np.array([0, 0.1, 1])) == pytest.approx(0.4)
    assert ramp_distance(layers, np.array([0, 1, 1.2])) == pytest.approx(0.5)


def test_a_sweep_checks_its_shapes() -> None:
    two, table = np.zeros(2), np.zeros((2, 3))
    for layers, base, donor in (
        (LAYERS[:2], two, two),
        (LAYERS, two[:1], two),
        (LAYERS, two, two[:1]),
    ):
        with pytest.raises(WorkbenchError, match="per item and layer"):
            Sweep(layers, base, donor, table)


def test_own_and_shuffled_donors_of_equal_shift_are_told_apart_by_following() -> None:
    """Behind layer 0 the patch brings each donor's own readout, behind layer 1 only the donors'
    mean level.
    """
    rng = np.random.default_rng(4)
    base, donor = rng.uniform(0, 0.3, size=80), rng.uniform(0.5, 1, size=80)
    patched = np.stack([donor, np.full(80, donor.mean())], axis=1)
    sweep = Sweep(np.array([0, 1]), base, donor, patched)
    assert mean_shift(sweep, resamples=10, seed=0).value == pytest.approx([1, 1])
    donor_slope, base_slope = following(sweep, resamples=10, seed=0)
    assert donor_slope.value == pytest.approx([1, 0], abs=1e-9)
    assert base_slope.value == pytest.approx([0, 0], abs=1e-9)


def test_a_flat_curve_has_neither_rho_nor_probability() -> None:
    flat = np.full(5, 0.3)
    assert np.isnan(spearman_rows(np.arange(5), flat[None])).all()
    assert np.isnan(permutation_p(np.arange(5), flat, permutations=99, seed=0))


def test_the_noise_floor_by_hand() -> None:
    """Donors 0 1 0 1 over bases 0 0 1 1: each leaves a deviation of one half once the other is
    taken out, so moves of .02 give slopes of .04 at most, which moves along the donor reach.
    """
    donor, base = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    own = Sweep(
        np.arange(2), base, base, base[:, None] + np.array([[0, 0.01], [0, 0], [-0.02, 0], [0, 0]])
    )
    assert max_readout_change(own.base, own.patched) == pytest.approx(0.02)
    moved = Sweep(np.arange(1), base, donor, (0.02 * np.sign(donor - 0.5))[:, None])
    assert slope_noise_floor(moved, 0.02) == pytest.approx(0.04)
    donor_slope, _ = following(moved, resamples=100, seed=0)
    assert donor_slope.value[0] == pytest.approx(0.04)
    assert np.isnan(slope_noise_floor(Sweep(np.arange(1), base, base, base[:, None]), 0.02))
