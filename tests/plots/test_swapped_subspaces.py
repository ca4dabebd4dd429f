from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots.swapped_subspaces import SwappedSubspaces, SwapRow

FOUND = SwapRow("found", Estimate(0.9, 0.8, 0.95, 50), Estimate(1.0, 0.9, 1.1, 50), False)
LUCK = SwapRow("<b>luck</b>", Estimate(0.5, 0.4, 0.6, 50), Estimate(0.1, 0.0, 0.2, 50), True)
FIGURE = SwappedSubspaces(
    rows={"rank 1": [FOUND, LUCK]}, nothing=(0.5, 0.0), title="title", caption="caption"
)


def test_learned_and_placebos_are_drawn_on_both_sides() -> None:
    traces = FIGURE.figure().data
    assert [(trace.name, list(trace.x)) for trace in traces] == [
        ("learned", [0.9]),
        ("learned", [1.0]),
        ("placebos", [0.5]),
        ("placebos", [0.1]),
    ]
    assert list(traces[2].y) == ["&lt;b&gt;luck&lt;/b&gt;"]
    assert traces[0].error_x.arrayminus[0] == pytest.approx(0.1)


def test_a_subspace_is_not_drawn_without_placebos() -> None:
    with pytest.raises(WorkbenchError, match="not drawn without its placebos"):
        replace(FIGURE, rows={"rank 1": [FOUND]})
    with pytest.raises(WorkbenchError, match="at least one"):
        replace(FIGURE, rows={})
