import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots import SeedCurves, SeedPanel


def curve(*values: float) -> IntervalCurve:
    value = np.array(values)
    return IntervalCurve(value, value - 0.1, value + 0.1)


SHIFT = {"seed 0": curve(0.0, 0.5, 1.0), "seed 1": curve(0.2, 1.4, 0.9)}
SLOPE = {"seed 0": curve(0.1, 0.2, 1.0), "seed 1": curve(0.0, 0.6, 1.0)}


def drawn(*panels: SeedPanel) -> SeedCurves:
    return SeedCurves(
        layers=np.array([2, 4, 6]),
        panels=panels,
        title="t",
        caption="c",
        roles={"seed 0": "after"},
    )


def test_every_panel_has_every_training_and_the_range_between_them() -> None:
    figure = drawn(SeedPanel("shift", SHIFT), SeedPanel("slope", SLOPE)).figure()
    lines = [trace for trace in figure.data if trace.name == "seed 1"]
    assert [line.y.tolist() for line in lines] == [[0.2, 1.4, 0.9], [0.0, 0.6, 1.0]]
    assert [line.showlegend for line in lines] == [True, False]
    bands = [trace for trace in figure.data if trace.name == "lowest to highest"]
    assert bands[0].x.tolist() == [2, 4, 6, 6, 4, 2]
    assert bands[0].y.tolist() == [0.2, 1.4, 1.0, 0.9, 0.5, 0.0]
    assert bands[1].y.tolist() == [0.1, 0.6, 1.0, 1.0, 0.2, 0.0]
    assert [note.text for note in figure.layout.annotations] == ["shift", "slope"]
    levels = [(shape.yref, shape.y0) for shape in figure.layout.shapes]
    assert levels == [(axis, level) for axis in ("y", "y2") for level in (0, 0.5, 1)]
    assert figure.layout.xaxis2.title.text == "patched decoder layer"


def test_one_training_cannot_be_compared() -> None:
    with pytest.raises(WorkbenchError, match="two or more trainings"):
        drawn(SeedPanel("shift", {"seed 0": SHIFT["seed 0"]}))


def test_panels_of_other_trainings_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="the same two or more trainings"):
        drawn(SeedPanel("shift", SHIFT), SeedPanel("slope", {**SLOPE, "seed 2": curve(0, 0, 0)}))


def test_a_curve_of_other_layers_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="'seed 1' has 2 points for 3 layers"):
        drawn(SeedPanel("shift", {**SHIFT, "seed 1": curve(0.0, 1.0)}))
