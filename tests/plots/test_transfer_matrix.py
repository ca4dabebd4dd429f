from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.transfer_matrix import TransferMatrix

NAN = float("nan")
CELLS = {
    ("before", "rivers"): Estimate(0.5, 0.4, 0.62, 9),
    ("single", "rivers"): Estimate(0.8, 0.7, 0.9, 9),
    ("single", "kings <b>"): Estimate(0.45, NAN, NAN, 9),
    ("before", "kings <b>"): Estimate(NAN, NAN, NAN, 9),
}
SHARED = {
    "rows": ("before", "single"),
    "columns": ("rivers", "kings <b>"),
    "title": "t",
    "caption": "c",
}


def matrix(**more: object) -> TransferMatrix:
    return TransferMatrix(**{**SHARED, "cells": CELLS, "centre": 0.5, "x": "x", "y": "y", **more})


def test_numbers_and_intervals_stand_in_the_cells() -> None:
    figure = matrix(own={("single", "rivers")}).figure()
    (cells,) = figure.data
    assert cells.text.tolist() == [["0.50<br>[0.40, 0.62]", ""], ["0.80<br>[0.70, 0.90]", "0.45"]]
    assert (cells.zmin, cells.zmax) == pytest.approx((0.2, 0.8))
    assert np.isnan(cells.z[0][1])
    assert list(cells.customdata[1][0]) == ["single", "rivers", 0.7, 0.9]
    assert list(figure.layout.xaxis.ticktext) == ["rivers", "kings &lt;b&gt;"]
    assert figure.layout.yaxis.autorange == "reversed"
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-0.5, 0.5, 0.5, 1.5)


def test_blue_is_the_better_side() -> None:
    colours = [
        dict(matrix(better=better).figure().data[0].colorscale) for better in ("higher", "lower")
    ]
    assert colours[0][1.0] == colours[1][0.0]
    assert colours[0][0.5] == colours[1][0.5] == "#FFFFFF"


def test_names_are_distinct_and_cells_inside() -> None:
    with pytest.raises(WorkbenchError, match="each with a name of its own"):
        matrix(rows=("before", "before"))
    with pytest.raises(WorkbenchError, match=r"the cell \('after', 'rivers'\) is in no row"):
        matrix(own={("after", "rivers")})
