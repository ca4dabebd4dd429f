import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import gated_retrieval
from workbench.plots import RetrievalGain


def test_gated_and_random_share_their_ends() -> None:
    curve = gated_retrieval([1, 2, 3, 4], [0, 0, 1, 1], [1, 1, 1, 1])
    figure = RetrievalGain(curves={"<a>": curve}, title="t", caption="c").figure()
    gated, random = figure.data
    assert np.allclose(gated.y, [50, 75, 100, 100, 100])
    assert np.allclose(random.y, [50, 62.5, 75, 87.5, 100])
    assert gated.name == "&lt;a&gt; (gain at 50 %: +25.0 points)"
    with pytest.raises(WorkbenchError, match="at least one group"):
        RetrievalGain(curves={}, title="t", caption="c")
