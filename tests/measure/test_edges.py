"""A value a rounding error below an edge or a threshold lies on it, in every measure that has
one.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from workbench.measure import confidence_metrics, ece, rating_scale, top_label
from workbench.measure.distinct_rows import grouped_levels
from workbench.measure.edges import at_least, at_most, bin_index
from workbench.plots.confidence_histogram import shares_by_bin

TENTHS = np.arange(11) / 10
BELOW = [
    TENTHS - 1e-16,
    np.nextafter(TENTHS, 0),
    TENTHS.astype(np.float32).astype(float),
    np.array([0.1 * k for k in range(11)]),
]


@pytest.mark.parametrize("stated", [TENTHS, *BELOW])
def test_tenths_open_their_bin(stated: np.ndarray) -> None:
    assert bin_index(stated, 10).tolist() == [*range(10), 9]
    assert bin_index(stated, 1000).tolist() == [*range(0, 1000, 100), 999]


@pytest.mark.parametrize("bins", [1, 2, 5, 7, 10, 20, 100, 1000])
def test_values_inside_bins_are_where_numpy_puts_them(bins: int) -> None:
    middles = (np.arange(bins) + 0.5) / bins
    assert bin_index(middles, bins).tolist() == list(range(bins))
    assert (bin_index(middles, bins) == np.digitize(middles, np.linspace(0, 1, bins + 1)) - 1).all()


def test_thresholds() -> None:
    assert at_least(0.3 * 3, 0.9)
    assert at_least(float(np.float32(0.95)), 0.95)
    assert at_most(0.1 + 0.2, 0.3)
    assert not at_least(0.89999, 0.9)
    assert not at_most(0.05001, 0.05)


def test_wide_and_narrow_floats_give_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    stated = rng.choice([0.05, 0.3, 0.6, 0.7, 0.9, 0.95, 1.0], 400)
    right = rng.random(400) < stated
    narrow = stated.astype(np.float32).astype(float)
    for bins in (10, 20):
        tables = [
            confidence_metrics(each, right, None, seed=0, resamples=5, bins=bins)
            for each in (stated, narrow, np.nextafter(stated, 0))
        ]
        for name in ("share_ge_90", "ece", "reliability", "resolution"):
            values = [table[name].value for table in tables]  # type: ignore[union-attr]
            assert values == pytest.approx([values[0]] * 3, abs=1e-6)
        for name in ("tier", "ceiling_rate", "floor_rate", "modal_bin_share", "bin_sparsity"):
            assert len({table[f"scale.{name}"] for table in tables}) == 1
    assert tables[1]["share_ge_90"].value == (stated >= 0.9).mean()  # type: ignore[union-attr]


def test_rating_scale_histogram_and_levels_have_the_same_edges() -> None:
    narrow = np.array([0.05, 0.1, 0.3, 0.6, 0.95, 1.0], dtype=np.float32).astype(float)
    found = rating_scale(100 * narrow, [1, 0, 1, 0, 1, 1])
    assert (found.ceiling_rate, found.floor_rate, found.bin_sparsity) == (2 / 6, 1 / 6, 5 / 11)
    counts = shares_by_bin(100 * narrow)[1]
    assert np.flatnonzero(counts).tolist() == [1, 2, 6, 12, 19, 20]
    assert len(np.unique(grouped_levels(narrow[:5], 2, 10))) == 5
    assert top_label([0.5 - 1e-17], [1])[1].tolist() == [True]


def test_ece_of_exact_tenths_is_that_of_sklearn() -> None:
    rng = np.random.default_rng(1)
    stated = rng.choice(TENTHS[1:10], 300)
    right = rng.random(300) < stated**2
    # sklearn's bins are closed above: a nudge puts both on the same side.
    share, mean = calibration_curve(right, stated + 1e-9, n_bins=10)
    weight = np.bincount(bin_index(stated, 10), minlength=10)
    assert ece(stated, right) == pytest.approx(
        np.abs(share - mean) @ weight[weight > 0] / 300, abs=1e-6
    )
