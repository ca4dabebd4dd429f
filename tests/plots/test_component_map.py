import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots import ComponentMap

CURVE = IntervalCurve(np.array([0.0, 0.5]), np.array([-0.1, 0.4]), np.array([0.1, 0.6]))


def test_certain_cells_are_filled_and_the_floor_is_drawn() -> None:
    figure = ComponentMap(
        layers=np.array([0, 3]), curves={"attention": CURVE, "MLP": CURVE}, floor=0.02, title="t", caption="c",
        p_any={"attention": np.array([1.0, 0.01]), "MLP": np.array([0.04, 0.06])},
    ).figure()  # fmt: skip
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}
    attention, mlp = (list(lines[name].marker.symbol) for name in ("attention", "MLP"))
    assert [symbol.endswith("-open") for symbol in attention] == [True, False]
    assert [symbol.endswith("-open") for symbol in mlp] == [False, True]
    band = figure.layout.shapes[0]
    assert (band.y0, band.y1) == (-0.02, 0.02)


def test_missing_p_values_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="p-value"):
        ComponentMap(
            layers=np.array([0, 3]),
            curves={"a": CURVE},
            p_any={},
            floor=0.0,
            title="t",
            caption="c",
        )
    with pytest.raises(WorkbenchError, match="noise floor"):
        ComponentMap(
            layers=np.array([0, 3]),
            curves={"a": CURVE},
            p_any={"a": np.ones(2)},
            floor=-1,
            title="t",
            caption="c",
        )
