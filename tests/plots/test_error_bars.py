from __future__ import annotations

from workbench.measure.interval import Estimate
from workbench.plots.error_bars import error_bars


def test_bars_reach_to_the_bounds_and_never_back() -> None:
    found = error_bars(
        [Estimate(0.5, 0.25, 1.0, 9), Estimate(0.5, 0.75, 1.0, 9)], "#123456", thickness=2, width=4
    )
    assert found["array"] == [0.5, 0.5]
    assert found["arrayminus"] == [0.25, 0.0]
    assert (found["color"], found["thickness"], found["width"]) == ("#123456", 2, 4)
    assert not found["symmetric"]
