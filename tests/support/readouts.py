"""Readouts of two conditions on 80 questions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.loop.conditions import Readouts

RNG = np.random.default_rng(0)

N = 80

READOUTS = Readouts(
    questions=pd.DataFrame({"row": np.arange(N), "domain": np.resize(["a", "b"], N)}),
    correct=RNG.random(N) < 0.5,
    stated={name: np.round(RNG.random(N), 1) for name in ("before", "arm")},
    expected={name: RNG.random(N) for name in ("before", "arm")},
    probe={"before": RNG.random(N), "arm": RNG.random(N)},
)
