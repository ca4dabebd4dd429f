import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots import LayerQuestionHeatmap

LONG = "What is the name of the <script>alert(1)</script> capital of the country in question?"


def test_cells_limits_and_labels() -> None:
    shift = np.array([[-2.0, 0.0, 1.0], [0.5, np.nan, 3.0]])
    figure = LayerQuestionHeatmap(
        layers=np.array([0, 5, 9]), labels=[LONG, "1 < 2 & 3"], shift=shift, floor=np.array([0.1, 0.5]), title="t",
        caption="c",
    ).figure()  # fmt: skip
    cells, within = figure.data
    assert list(zip(within.x, within.y, strict=True)) == [(5, 0), (0, 1)]
    assert np.array_equal(cells.z, shift, equal_nan=True)
    assert cells.x.tolist() == [0, 5, 9]
    assert (cells.zmin, cells.zmax) == (-0.5, 1.5)
    white = (0 - cells.zmin) / (cells.zmax - cells.zmin)
    assert dict(cells.colorscale)[white] == "#FFFFFF"
    assert cells.customdata[0, 2] == LONG.replace("<", "&lt;").replace(">", "&gt;")
    assert cells.customdata[1, 0] == "1 &lt; 2 &amp; 3"
    first, second = figure.layout.yaxis.ticktext
    assert first == "What is the name of the &lt;script&gt;a…"
    assert second == "1 &lt; 2 &amp; 3"
    assert figure.layout.yaxis.range == (1.5, -0.5)
    assert figure.layout.xaxis.range == (-2.5, 11.0)


def test_many_questions_make_a_taller_figure() -> None:
    def height(n: int) -> float:
        labels = [f"q{i}" for i in range(n)]
        return (
            LayerQuestionHeatmap(
                layers=np.arange(2),
                labels=labels,
                shift=np.zeros((n, 2)),
                floor=np.zeros(n),
                title="t",
                caption="c",
            )
            .figure()
            .layout.height
        )

    assert height(60) - height(40) == 20 * 17


def test_a_transposed_matrix_is_refused() -> None:
    drawn = {"layers": np.arange(3), "labels": ["a", "b"], "title": "t", "caption": "c"}
    with pytest.raises(WorkbenchError, match=r"\(3, 2\)"):
        LayerQuestionHeatmap(shift=np.zeros((3, 2)), floor=np.zeros(2), **drawn)
    with pytest.raises(WorkbenchError, match="floor has shape"):
        LayerQuestionHeatmap(shift=np.zeros((2, 3)), floor=np.zeros(3), **drawn)
