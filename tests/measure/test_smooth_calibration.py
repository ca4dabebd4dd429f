import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.optimize import brentq

from workbench.measure import ece, relplot_smooth_ece, smooth_ece
from workbench.measure.smooth_calibration import SmoothEce


def check_vector() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    return p, rng.random(1000) < p**2


def by_quadrature(p: np.ndarray, y: np.ndarray) -> float:
    """smECE from its definition: the reflected kernel as a sum of Gaussian images, the fixed
    point by root finding.
    """
    t = np.linspace(0, 1, 4001)

    def error(width: float) -> float:
        images = [s * p + 2 * k for k in range(-4, 5) for s in (1, -1)]
        kernel = sum(np.exp(-(((t[:, None] - c) / width) ** 2) / 2) for c in images) / (
            width * np.sqrt(2 * np.pi)
        )
        return float(trapezoid(np.abs(kernel @ (p - y)) / len(p), t))

    return float(brentq(lambda width: error(width) - width, 0.003, 1, xtol=1e-7))


def test_equals_the_definition_by_quadrature() -> None:
    rng = np.random.default_rng(4)
    p = np.round(rng.random(60), 1)
    y = rng.random(60) < 0.3 + 0.4 * p
    assert np.isclose(smooth_ece(p, y), by_quadrature(p, y), atol=5e-5)
    crowded = np.where(rng.random(60) < 0.7, 1.0, 0.6)
    assert np.isclose(smooth_ece(crowded, y), by_quadrature(crowded, y), atol=5e-5)


def test_one_sided_error_equals_ece() -> None:
    # With every smoothed residual of one sign, smoothing cannot cancel anything.
    p, y = check_vector()
    assert round(smooth_ece(p, y), 6) == round(ece(p, y), 6) == 0.149906


def test_forecasts_of_exactly_one_keep_their_weight() -> None:
    p = np.r_[np.ones(50), np.full(50, 0.5)]
    y = np.r_[np.arange(50) < 10, np.arange(50) < 25]
    assert np.isclose(smooth_ece(p, y), 0.4, atol=1e-9)
    assert relplot_smooth_ece(p, y) < 0.27


def test_relplot_check_vector() -> None:
    p, y = check_vector()
    assert round(relplot_smooth_ece(p, y), 6) == 0.149771


def test_counts_equal_repeated_rows_and_nan_is_skipped() -> None:
    rng = np.random.default_rng(1)
    p = np.round(rng.random(30), 1)
    p[3] = np.nan
    y = rng.random(30) < 0.5
    counts = rng.integers(0, 3, 30)
    value = SmoothEce(p, y)(np.stack([counts, np.ones(30)]).astype(float))
    assert np.isclose(value[0], smooth_ece(np.repeat(p, counts), np.repeat(y, counts)), atol=1e-12)
    assert np.isclose(value[1], smooth_ece(np.delete(p, 3), np.delete(y, 3)), atol=1e-12)
    assert np.isnan(smooth_ece([np.nan], [1]))
    assert np.isnan(relplot_smooth_ece([np.nan], [1]))


def test_bounds_close_on_the_fixed_point() -> None:
    rng = np.random.default_rng(6)
    for power in (0.5, 1.0, 3.0):
        p = rng.random(60)
        y = rng.random(60) < p**power
        assert np.isclose(smooth_ece(p, y), by_quadrature(p, y), atol=5e-5)


def test_many_forecasts_by_grid_equal_the_sum_of_cosines(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    p = np.r_[0.0, 1.0, rng.random(500)]
    y = rng.random(502) < p**2
    exact = smooth_ece(p, y)
    monkeypatch.setattr("workbench.measure.smooth_calibration._MOST_VALUES", 10)
    assert np.isclose(smooth_ece(p, y), exact, atol=1e-6)


def test_relplot_itself() -> None:
    relplot = pytest.importorskip("relplot")
    rng = np.random.default_rng(8)
    p = np.round(rng.random(300), 2)
    y = rng.random(300) < p
    assert np.isclose(relplot_smooth_ece(p, y), relplot.smECE(p, y), atol=1e-9)
