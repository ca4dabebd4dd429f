from __future__ import annotations

import numpy as np
import pytest

from workbench.measure import Bootstrap
from workbench.mechanisms.works.commitment_pushes import Pushed, measure_pushes


def test_effects_are_means_and_the_largest_random_one_is_subtracted() -> None:
    rng = np.random.default_rng(0)
    own, correct, p, passes = rng.normal(1, 1, size=(4, 40))
    random = rng.normal([0.2, -0.6, 0.1], 0.3, size=(40, 3))
    found = measure_pushes(
        Pushed(own, correct, random, np.zeros(40), p, passes, random / 2), Bootstrap(200, 0)
    )
    largest = np.abs(random.mean(axis=0)).max()
    assert largest == pytest.approx(-random.mean(axis=0)[1])
    assert found["steer_confidence"].value == pytest.approx(own.mean())
    assert found["steer_random"].value == pytest.approx(largest)
    assert found["steer_confidence_minus_random"].value == pytest.approx(own.mean() - largest)
    assert found["steer_passes_random"].value == pytest.approx(largest / 2)
    assert found["steer_nothing"].value == 0
    assert found["steer_passes"].low < passes.mean() < found["steer_passes"].high
