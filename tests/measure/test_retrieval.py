import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import gated_retrieval


def test_by_hand() -> None:
    # Lowest first: wrong -> right, right -> wrong, then two that stay as they are.
    curve = gated_retrieval([1, 2, 3, 4], [0, 1, 1, 1], [1, 0, 1, 1])
    assert curve.rate.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.gated.tolist() == [0.75, 1.0, 0.75, 0.75, 0.75]
    assert np.allclose(curve.random, 0.75)
    assert np.isclose(curve.gain_at(0.25), 0.25)
    assert np.isclose(curve.gain_at(0.125), 0.125)
    assert np.isclose(curve.mean_gain, 0.25 * 0.25)


def test_unparsed_are_looked_up_first_and_ties_together() -> None:
    curve = gated_retrieval([np.nan, 5, 5, 5], [0, 0, 0, 1], [1, 1, 0, 1])
    assert curve.rate.tolist() == [0, 0.25, 1]
    assert curve.gated.tolist() == [0.25, 0.5, 0.75]


def test_one_confidence_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    curve = gated_retrieval(np.ones(50), rng.random(50) < 0.3, rng.random(50) < 0.7)
    assert np.isclose(curve.mean_gain, 0)


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="at least one"):
        gated_retrieval([], [], [])
    with pytest.raises(WorkbenchError, match="between 0 and 1"):
        gated_retrieval([1], [1], [1]).gain_at(2)
