import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots import LayerPositionMap

CELLS = {"low": np.zeros((2, 3)), "high": np.ones((2, 3)), "p_any": np.ones((2, 3))}


def test_parts_in_their_order_below_the_map() -> None:
    shift = np.arange(6.0).reshape(2, 3)
    figure = LayerPositionMap(
        layers=np.array([0, 4]), parts=["question", "answer", "confidence position"], shift=shift, floor=0.0, **CELLS,
        title="t", caption="c",
    ).figure()  # fmt: skip
    assert np.array_equal(figure.data[0].z, shift)
    assert list(figure.layout.xaxis.ticktext) == ["question", "answer", "confidence position"]


def test_a_transposed_matrix_is_refused() -> None:
    with pytest.raises(WorkbenchError, match=r"\(3, 2\)"):
        LayerPositionMap(
            layers=np.array([0, 4]),
            parts=["a", "b", "c"],
            shift=np.zeros((3, 2)),
            floor=0.0,
            **CELLS,
            title="t",
            caption="c",
        )
