import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import roc_curve

from workbench.errors import WorkbenchError
from workbench.measure import delong
from workbench.plots import Roc

CONFIDENCE = np.array([0.9, 0.9, 0.5, 0.5, 0.1, np.nan])
CORRECT = np.array([1, 1, 1, 0, 0, 1], dtype=bool)


def drawn(confidence: np.ndarray, correct: np.ndarray) -> object:
    areas = {"<b>a</b>": delong(confidence, correct)}
    figure = Roc(
        groups={"<b>a</b>": (confidence, correct)}, areas=areas, title="t", caption="c"
    ).figure()
    return figure.data[1]


def test_curve_is_sklearns_and_the_area_its_own() -> None:
    curve = drawn(CONFIDENCE, CORRECT)
    false, true, _ = roc_curve(CORRECT[:-1], CONFIDENCE[:-1], drop_intermediate=False)
    assert np.allclose(curve.x, false)  # type: ignore[attr-defined]
    assert np.allclose(curve.y, true)  # type: ignore[attr-defined]
    assert np.isclose(np.trapezoid(true, false), delong(CONFIDENCE, CORRECT).value)
    # Three answers stand apart from the most frequent confidence: too few for an interval.
    assert curve.name == "&lt;b&gt;a&lt;/b&gt; (0.917)"  # type: ignore[attr-defined]


def test_the_legend_has_the_interval_where_there_is_one() -> None:
    """Four right answers, of which one lies below two of four wrong ones: 14 of 16 pairs."""
    confidence, correct = np.array([8, 7, 6, 3, 5, 4, 2, 1]) / 10, np.arange(8) < 4
    area = delong(confidence, correct)
    # Placements: 1, 1, 1, 1/2 of the right, 3/4, 3/4, 1, 1 of the wrong, about 14/16.
    right, wrong = np.array([1, 1, 1, 0.5]) - 14 / 16, np.array([0.75, 0.75, 1, 1]) - 14 / 16
    # Both variances have 3 degrees of freedom; 3 to 1 of one size, together 3 x 16 / 10.
    half = t.ppf(0.975, 4.8) * np.sqrt(((right**2).sum() + (wrong**2).sum()) / 12)
    assert area.low == pytest.approx(14 / 16 - half, abs=1e-6)
    curve = drawn(confidence, correct)
    assert curve.name == (  # type: ignore[attr-defined]
        f"&lt;b&gt;a&lt;/b&gt; (0.875 [{14 / 16 - half:.3f}, 1.000])"
    )


def test_many_points_are_thinned_with_both_ends() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(20_000)
    curve = drawn(confidence, rng.random(20_000) < confidence)
    assert len(curve.x) <= 802  # type: ignore[attr-defined]
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)  # type: ignore[attr-defined]


def test_one_class_has_no_curve() -> None:
    assert "one class" in drawn(CONFIDENCE, np.ones(6, dtype=bool)).name  # type: ignore[attr-defined]
    with pytest.raises(WorkbenchError, match="at least one group"):
        Roc(groups={}, areas={}, title="t", caption="c")
