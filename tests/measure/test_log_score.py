import numpy as np
import pytest
from sklearn.metrics import log_loss

from workbench.errors import WorkbenchError
from workbench.measure import log_score


def test_equals_sklearn() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.99, 200)
    y = rng.random(200) < p
    assert np.isclose(log_score(p, y), log_loss(y, p))


def test_clip_by_hand() -> None:
    assert np.isclose(log_score([1.0], [0]), -np.log(0.001))
    assert np.isclose(log_score([1.0, 0.5], [0, 1], clip=0.1), (-np.log(0.1) - np.log(0.5)) / 2)
    assert log_score([1.0], [0], clip=0) == np.inf
    assert log_score([1.0, np.nan], [1, 0], clip=0) == 0
    assert np.isnan(log_score([np.nan], [1]))


def test_a_clip_beyond_one_half_is_a_mistake() -> None:
    with pytest.raises(WorkbenchError, match=r"0\.001"):
        log_score([0.5], [1], clip=0.5)
