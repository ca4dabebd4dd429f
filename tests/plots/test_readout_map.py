import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots.heatmap_marks import WITHIN_FLOOR
from workbench.plots.readout_map import MapAxis, ReadoutMap

VALUE = np.array([[0.0, 0.5], [-1.0, 0.05]])


def drawn(**changes: object) -> ReadoutMap:
    options: dict[str, object] = {
        "rows": MapAxis("layer", (0, 1)),
        "columns": MapAxis("position", ("0 The", "1 <cat>")),
        "value": VALUE,
        "low": VALUE - 0.1,
        "high": VALUE + 0.1,
        "unit": "shift (0 base, 1 donor)",
        "floor": 0.1,
        "title": "t",
        "caption": "n = 3",
    }
    return ReadoutMap(**(options | changes))  # type: ignore[arg-type]


def test_colours_are_even_around_zero_and_small_cells_are_hatched() -> None:
    figure = drawn().figure()
    heat = figure.data[0]
    assert heat.z.tolist() == VALUE.tolist()
    assert (heat.zmin, heat.zmax) == (-1.0, 1.0)
    (marks,) = [trace for trace in figure.data if trace.name == WITHIN_FLOOR]
    assert sorted(zip(marks.x, marks.y, strict=True)) == [(0, 0), (1, 1)]
    assert list(figure.layout.xaxis.ticktext) == ["0 The", "1 &lt;cat&gt;"]
    assert "noise floor 0.1" in figure.layout.title.subtitle.text


def test_without_a_floor_nothing_is_hatched() -> None:
    assert len(drawn(floor=float("nan")).figure().data) == 1


def test_layers_stand_upright_whichever_axis_they_are() -> None:
    turned = drawn(
        rows=MapAxis("position", ("0 The", "1 <cat>")), columns=MapAxis("layer", (0, 1))
    ).figure()
    assert turned.data[0].z.tolist() == VALUE.T.tolist()
    assert turned.layout.yaxis.title.text == "patched decoder layer"


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="low has shape"):
        drawn(low=np.zeros((1, 2)))
