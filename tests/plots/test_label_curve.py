from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots import LabelCurve, LabelledPoint, LabelPanel


def point(labels: int, value: float) -> LabelledPoint:
    return LabelledPoint(labels, Estimate(value, value - 0.1, value + 0.2, 40))


def panel(measure: str = "AUROC2", **curves: list[LabelledPoint]) -> LabelPanel:
    return LabelPanel(
        measure=measure, curves=curves, references={"before": Estimate(0.5, 0.4, 0.55, 40)}
    )


def test_curves_have_intervals_and_references_lie_across_with_a_band() -> None:
    figure = LabelCurve(
        panels=[panel(head=[point(75, 0.6), point(300, 0.7)])], title="t", caption="c"
    ).figure()
    across, band, curve = figure.data
    assert list(curve.x) == [75, 300]
    assert list(curve.y) == [0.6, 0.7]
    assert np.allclose(curve.error_y.array, 0.2)
    assert np.allclose(curve.error_y.arrayminus, 0.1)
    assert list(across.y) == [0.5, 0.5]
    assert across.x[0] < 75 < 300 < across.x[1]
    assert list(band.y) == [0.55, 0.55, 0.4, 0.4]
    assert (band.name, band.showlegend, across.name) == ("before (interval)", False, "before")
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.tickvals) == [75, 300]


def test_panels_share_their_legend_and_colours() -> None:
    both = [
        panel("AUROC2", a=[point(5, 0.6)], b=[point(5, 0.1)]),
        panel("ECE", b=[point(5, 0.2)], a=[point(9, 0.3)]),
    ]
    figure = LabelCurve(panels=both, title="t", caption="c").figure()
    curves = [trace for trace in figure.data if trace.name in ("a", "b")]
    assert [(trace.name, trace.showlegend, trace.xaxis) for trace in curves] == [
        ("a", True, "x"),
        ("b", True, "x"),
        ("b", False, "x2"),
        ("a", False, "x2"),
    ]
    assert curves[0].line.color == curves[3].line.color != curves[1].line.color
    assert [trace.showlegend for trace in figure.data if trace.name == "before"] == [True, False]
    assert [figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text] == ["AUROC2", "ECE"]


def test_of_several_references_the_first_has_a_band() -> None:
    both = {name: Estimate(0.5, 0.4, 0.55, 40) for name in ("before", "embeddings")}
    one = LabelPanel(measure="ECE", curves={"head": [point(5, 0.1)]}, references=both)
    figure = LabelCurve(panels=[one], title="t", caption="c").figure()
    assert [trace.name for trace in figure.data] == [
        "before",
        "before (interval)",
        "embeddings",
        "head",
    ]
    assert "[0.400, 0.550]" in figure.data[2].hovertemplate


def test_a_reference_without_an_interval_has_no_band() -> None:
    alone = {"x<y": Estimate(0.5, np.nan, np.nan, 40)}
    one = LabelPanel(measure="ECE", curves={"head": [point(5, 0.1)]}, references=alone)
    figure = LabelCurve(panels=[one], title="t", caption="c").figure()
    assert [trace.name for trace in figure.data] == ["x&lt;y", "head"]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least one label, not 0"):
        point(0, 0.5)
    with pytest.raises(WorkbenchError, match="'head' need rising"):
        panel(head=[point(9, 0.5), point(9, 0.6)])
    with pytest.raises(WorkbenchError, match="at least one method"):
        panel()
    with pytest.raises(WorkbenchError, match="at least one panel"):
        LabelCurve(panels=[], title="t", caption="c")
