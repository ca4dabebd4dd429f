from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, passed_share, wilson_interval

DRAW = Bootstrap(300, 0)
CONFIDENCE = np.repeat([0.2, 0.6, 0.9], [10, 20, 30])
PASSED = np.r_[np.arange(10) < 8, np.arange(20) < 10, np.arange(30) < 3]
CORRECT = np.arange(60) % 2 == 0


def test_shares_are_counted_with_wilsons_interval() -> None:
    found = passed_share(CONFIDENCE, PASSED, CORRECT, DRAW)
    assert found.confidence.tolist() == pytest.approx([0.2, 0.6, 0.9])
    assert found.count.tolist() == [10, 20, 30]
    assert found.share.value == pytest.approx([0.8, 0.5, 0.1])
    low, high = wilson_interval([8, 10, 3], [10, 20, 30])
    assert found.share.low == pytest.approx(low)
    assert found.share.high == pytest.approx(high)
    assert found.overall.value == pytest.approx(21 / 60)
    assert found.right.value == pytest.approx(PASSED[CORRECT].mean())
    assert (found.right.n, found.wrong.n) == (30, 30)


def test_probabilities_have_a_mean() -> None:
    found = passed_share(CONFIDENCE, 1 - CONFIDENCE, CORRECT, DRAW)
    assert found.share.value == pytest.approx([0.8, 0.4, 0.1])
    assert found.overall.low < (1 - CONFIDENCE).mean() < found.overall.high


def test_what_was_not_read_is_in_no_share() -> None:
    confidence, passed = CONFIDENCE.copy(), PASSED.astype(float)
    confidence[0], passed[1] = np.nan, np.nan
    found = passed_share(confidence, passed, CORRECT, DRAW)
    assert found.count.tolist() == [8, 20, 30]
    assert found.overall.n == 59
    assert found.overall.value == pytest.approx(20 / 59)


def test_another_scale_than_shares_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="one value from 0 to 1"):
        passed_share(CONFIDENCE, 100 * CONFIDENCE, CORRECT, DRAW)
