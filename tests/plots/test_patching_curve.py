import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.plots import PatchingCurve
from workbench.plots.theme import BLUE

EFFECT = IntervalCurve(
    np.array([0.0, 0.4, 1.0]), np.array([-0.1, 0.3, 0.9]), np.array([0.1, 0.5, 1.1])
)
CONTROL = IntervalCurve(np.zeros(3), np.zeros(3) - 0.01, np.zeros(3) + 0.01)


def drawn(noise_floor: float | None) -> PatchingCurve:
    return PatchingCurve(
        layers=np.array([0, 4, 8]),
        effect=EFFECT,
        controls={"random <b>position</b>": CONTROL},
        rho=Estimate(0.98, 0.95, 0.99, 100),
        noise_floor=noise_floor,
        title="t",
        caption="n = 100",
    )


def test_effect_controls_and_ramp() -> None:
    figure = drawn(None).figure()
    traces = {trace.name: trace for trace in figure.data}
    assert traces["own donor"].y.tolist() == [0.0, 0.4, 1.0]
    assert traces["own donor"].line.color == BLUE
    assert traces["own donor (interval)"].y.tolist() == [0.1, 0.5, 1.1, 0.9, 0.3, -0.1]
    assert traces["random &lt;b&gt;position&lt;/b&gt;"].y.tolist() == [0, 0, 0]
    assert (list(traces["linear ramp (null)"].x), list(traces["linear ramp (null)"].y)) == (
        [0, 8],
        [0, 1],
    )
    assert "0.980 [0.950, 0.990]" in figure.layout.title.subtitle.text.replace("<br>", " ")
    assert not [shape for shape in figure.layout.shapes if shape.type == "rect"]


def test_the_noise_floor_is_a_band_around_zero() -> None:
    (band,) = [shape for shape in drawn(0.02).figure().layout.shapes if shape.type == "rect"]
    assert (band.y0, band.y1) == (-0.02, 0.02)


def test_controls_must_match_the_layers() -> None:
    with pytest.raises(WorkbenchError, match="'own donor' has 3 points for 2 layers"):
        PatchingCurve(
            layers=np.arange(2),
            effect=EFFECT,
            controls={},
            rho=Estimate(0, 0, 0, 1),
            noise_floor=None,
            title="t",
            caption="c",
        )
