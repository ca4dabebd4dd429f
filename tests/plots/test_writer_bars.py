from __future__ import annotations

import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.writer_bars import WriterBars, WriterPanel


def estimates(*values: float) -> list[Estimate]:
    return [Estimate(value, value - 0.1, value + 0.2, 12) for value in values]


def test_every_way_has_bars_with_intervals_in_every_panel() -> None:
    panel = WriterPanel(
        ["1, head 3", "<b>2, MLP"], {"direct": estimates(1, 2), "ablation": estimates(0.5, -1)}
    )
    figure = WriterBars(
        panels={"before": panel, "after": panel}, y="nats", title="T", caption="c"
    ).figure()
    assert [trace.name for trace in figure.data] == ["direct", "ablation"] * 2
    assert list(figure.data[1].y) == [0.5, -1]
    assert list(figure.data[1].error_y.array) == pytest.approx([0.2, 0.2])
    assert figure.data[0].x == ("1, head 3", "&lt;b&gt;2, MLP")
    assert [trace.showlegend for trace in figure.data] == [True, True, False, False]


@pytest.mark.parametrize(
    ("names", "ways"),
    [([], {"a": []}), (["x"], {"a": estimates(1, 2)}), (["x"], {})],
)
def test_bars_without_parts_or_ways_are_refused(
    names: list[str], ways: dict[str, list[Estimate]]
) -> None:
    with pytest.raises(WorkbenchError, match="bars"):
        WriterPanel(names, ways)
    with pytest.raises(WorkbenchError, match="at least one condition"):
        WriterBars(panels={}, y="", title="", caption="")
