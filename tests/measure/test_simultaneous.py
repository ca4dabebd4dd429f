from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.simultaneous import DonorSweep, clear_of, slope_band, slope_test
from workbench.patch.effects import Sweep, following

RNG = np.random.default_rng(0)
ITEMS, LAYERS = 40, np.array([2, 5, 7])


def draw_sweep(slopes: list[float], noise: float = 0.05) -> DonorSweep:
    base, donor = RNG.random(ITEMS), RNG.random(ITEMS)
    patched = base[:, None] * 0.4 + donor[:, None] * slopes
    return DonorSweep(LAYERS, base, donor, patched + noise * RNG.standard_normal((ITEMS, 3)))


def test_slopes_are_those_of_following() -> None:
    sweep = draw_sweep([0.0, 0.5, 1.0])
    expected, _ = following(
        Sweep(sweep.layers, sweep.base, sweep.donor, sweep.patched), resamples=100, seed=0
    )
    band = slope_band(sweep, resamples=100, seed=0, level=0.95)
    assert band.value == pytest.approx(expected.value)


def test_t_is_that_of_a_regression() -> None:
    sweep = draw_sweep([0.0, 0.2, 1.0])
    found = slope_test(sweep, permutations=19, seed=0)
    design = np.stack([np.ones(ITEMS), sweep.donor, sweep.base], axis=1)
    for layer, patched in enumerate(sweep.patched.T):
        fitted, left, *_ = np.linalg.lstsq(design, patched, rcond=None)
        error = np.sqrt(left[0] / (ITEMS - 3) * np.linalg.inv(design.T @ design)[1, 1])
        assert found.t[layer] == pytest.approx(fitted[1] / error)


def test_the_largest_t_of_each_permutation_is_what_counts() -> None:
    sweep = draw_sweep([0.0, 0.1, 0.3], noise=0.2)
    found = slope_test(sweep, permutations=50, seed=4)
    orders = np.random.default_rng(4).permuted(np.tile(np.arange(ITEMS), (50, 1)), axis=1)
    cleared = clear_of(sweep.base, sweep.donor)
    largest = []
    for order in orders:
        t = []
        for patched in clear_of(sweep.base, sweep.patched).T:
            r = np.corrcoef(cleared[order], patched)[0, 1]
            t.append(r * np.sqrt((ITEMS - 3) / (1 - r**2)))
        largest.append(max(t))
    expected = [(1 + sum(one >= t for one in largest)) / 51 for t in found.t]
    assert found.p == pytest.approx(expected)


def test_a_band_holds_for_all_layers_and_a_control_is_taken_off() -> None:
    sweep, control = draw_sweep([0.0, 0.5, 1.0]), draw_sweep([0.0, 0.0, 0.0])
    own = slope_band(sweep, resamples=200, seed=0, level=0.95)
    over = slope_band(sweep, control, resamples=200, seed=0, level=0.95)
    of_control = slope_band(control, resamples=200, seed=0, level=0.95)
    assert over.value == pytest.approx(own.value - of_control.value)
    assert (own.low < own.value).all()
    assert over.low[2] > 0.8
    single = slope_band(sweep.at(np.array([5])), resamples=200, seed=0, level=0.95)
    assert own.high[1] - own.low[1] > single.high[0] - single.low[0]


def test_too_few_items_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least 8"):
        DonorSweep(LAYERS, np.zeros(4), np.zeros(4), np.zeros((4, 3)))
