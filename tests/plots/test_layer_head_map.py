import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots import LayerHeadMap

CELLS = {"low": np.zeros((2, 4)), "high": np.ones((2, 4)), "p_any": np.ones((2, 4))}


def test_heads_are_numbered() -> None:
    shift = np.arange(8.0).reshape(2, 4)
    figure = LayerHeadMap(
        layers=np.array([1, 2]), shift=shift, floor=0.0, **CELLS, title="t", caption="c"
    ).figure()
    assert np.array_equal(figure.data[0].z, shift)
    assert list(figure.layout.xaxis.ticktext) == ["0", "1", "2", "3"]
    assert figure.layout.xaxis.title.text == "query head"


def test_another_number_of_layers_is_refused() -> None:
    with pytest.raises(WorkbenchError, match=r"\(2, 4\)"):
        LayerHeadMap(
            layers=np.arange(3), shift=np.zeros((2, 4)), floor=0.0, **CELLS, title="t", caption="c"
        )
