import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots.effect_grid import check_grid, effect_grid

SHIFT = np.array([[0.0, 0.8], [-0.4, 0.05]])
P = np.array([[1.0, 0.001], [0.02, 0.03]])


def test_marks_tell_noise_from_what_is_beyond_it() -> None:
    figure = effect_grid(
        layers=np.array([0, 7]), columns=["a", "b<i>"], shift=SHIFT, low=SHIFT - 0.1, high=SHIFT + 0.1, p_any=P,
        floor=0.05, limit=None, title="t", caption="c", x="x",
    )  # fmt: skip
    cells, within, known = figure.data
    assert (cells.zmin, cells.zmax) == (-0.8, 0.8)
    assert dict(cells.colorscale)[0.5] == "#FFFFFF"
    assert list(zip(within.y, within.x, strict=True)) == [(0, 0), (1, 1)]
    assert list(zip(known.y, known.x, strict=True)) == [(0, 1), (1, 0)]
    assert list(known.marker.color) == ["#FFFFFF", "#222222"]
    assert cells.customdata[1, 1].tolist() == [
        "b&lt;i&gt;",
        7,
        pytest.approx(-0.05),
        pytest.approx(0.15),
        0.03,
    ]
    assert list(figure.layout.yaxis.ticktext) == ["0", "7"]
    assert "noise floor 0.05" in figure.layout.title.subtitle.text


def test_a_shared_limit_is_kept() -> None:
    figure = effect_grid(
        layers=np.array([0, 7]), columns=["a", "b"], shift=SHIFT, low=SHIFT, high=SHIFT, p_any=P,
        floor=0.0, limit=1.0, title="t", caption="c", x="x",
    )  # fmt: skip
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-1, 1)


def test_shapes_and_floor_are_checked() -> None:
    with pytest.raises(WorkbenchError, match=r"shift has shape \(2, 2\)"):
        check_grid(np.arange(2), ["a"], {"shift": SHIFT}, 0.0)
    with pytest.raises(WorkbenchError, match="rising"):
        check_grid(np.array([1, 0]), ["a", "b"], {"shift": SHIFT}, 0.0)
    for floor in (-1.0, float("nan")):
        with pytest.raises(WorkbenchError, match="noise floor"):
            check_grid(np.arange(2), ["a", "b"], {"shift": SHIFT}, floor)
