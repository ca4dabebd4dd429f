from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots.cost_growth import CostCurve, CostGrowth


def curve(*cost: float, estimated: bool = False) -> CostCurve:
    return CostCurve(at=np.arange(1.0, len(cost) + 1), cost=np.array(cost), estimated=estimated)


def test_a_panel_an_axis_and_a_legend_entry_a_method() -> None:
    panels = {
        "rows": {"packed": curve(1.2, 1.1), "loop": curve(31, 31, estimated=True)},
        "layers": {"packed": curve(1, 2)},
    }
    figure = CostGrowth(
        panels=panels, ours="packed", unit="forwards", title="t", caption="c"
    ).figure()
    assert [(t.name, t.showlegend, t.xaxis) for t in figure.data] == [
        ("packed", True, "x"),
        ("loop (estimated)", True, "x"),
        ("packed", False, "x2"),
    ]
    assert list(figure.data[1].y) == [31, 31]
    assert figure.data[1].line.dash == "dash"
    assert [figure.layout.xaxis.title.text, figure.layout.xaxis2.title.text] == ["rows", "layers"]
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"


@pytest.mark.parametrize("cost", [(), (0.0,), (np.nan,), (1.0, np.inf)])
def test_costs_without_a_logarithm_are_refused(cost: tuple[float, ...]) -> None:
    with pytest.raises(WorkbenchError, match="cost curve"):
        curve(*cost)


def test_a_figure_needs_curves() -> None:
    with pytest.raises(WorkbenchError, match="at least one panel"):
        CostGrowth(panels={}, ours="packed", unit="", title="", caption="")
