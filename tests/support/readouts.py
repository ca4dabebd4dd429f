"""Readouts of two conditions on 80 questions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.loop.conditions import BEFORE, Condition, Readouts

RNG = np.random.default_rng(0)

N = 80
ARM = Condition("arm")

READOUTS = Readouts(
    questions=pd.DataFrame({"row": np.arange(N), "domain": np.resize(["a", "b"], N)}),
    correct=RNG.random(N) < 0.5,
    stated={one: np.round(RNG.random(N), 1) for one in (BEFORE, ARM)},
    expected={one: RNG.random(N) for one in (BEFORE, ARM)},
    probe={BEFORE: RNG.random(N), ARM: RNG.random(N)},
)
