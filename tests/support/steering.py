"""Pushes whose effect is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.experiments.steering.read import BASE, NOTHING, PROBE


def planted_pushes(shift: float) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """40 questions in two domains whose confidence knows nothing; under the probe's long push it
    knows by ``shift``.
    """
    rng = np.random.default_rng(0)
    correct, domain = np.arange(40) % 2 == 0, np.asarray(["a", "b"])[np.arange(40) // 20]
    lines, base = [], rng.random(40)
    for direction, length in (
        (BASE, 0.0),
        (NOTHING, 0.0),
        (PROBE, 1.0),
        (PROBE, 2.0),
        ("random 1", 1.0),
        ("random 1", 2.0),
    ):
        known = shift if (direction, length) == (PROBE, 2.0) else 0.0
        noises = base if direction in (BASE, NOTHING) else rng.random(40)
        for row, noise in enumerate(noises):
            value = float(np.clip(0.5 * noise + known * correct[row], 0, 1)) + 0.01 * (
                direction == NOTHING
            )
            layer = -1 if direction == BASE else 3
            lines.append((row, direction, layer, length, value, value, 1.0))
    columns = ["row", "direction", "layer", "length", "expected", "written", "mass"]
    return pd.DataFrame(lines, columns=columns).sample(frac=1, random_state=1), correct, domain
