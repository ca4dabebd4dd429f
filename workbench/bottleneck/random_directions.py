"""Draw random directions along which states vary as much as along a given one.

A direction along which states hardly vary can be taken out or swapped without any effect, so a
random direction is a fair control only where it has the same variance. Directions are drawn
Gaussian in the principal axes of the states, each axis weighted by a power of its variance; the
power of each draw is the one at which the variance along it is that along the given direction.

What the control does not match: which axes the given direction lies in. A readout that listens to
large axes alone is moved by random directions of large variance too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError

POWERS, HALVINGS = (-8.0, 8.0), 60
FLOOR = 1e-6
"""The least variance of an axis, as a share of the largest."""


def directions_of_equal_variance(
    states: NDArray[np.floating], direction: Floats, count: int, rng: np.random.Generator
) -> Floats:
    """Draw ``count`` unit directions [count, width] along which ``states`` [questions, width] have
    the variance that they have along ``direction`` [width].

    Where no direction of a draw's axes has that variance, the nearest one is taken.

    Raises:
        WorkbenchError: for a direction of length zero, and fewer than two questions.
    """
    norm = np.linalg.norm(direction)
    if not norm > 0 or len(states) < 2:
        raise WorkbenchError(
            "Random directions of equal variance need a direction that is not zero, and states of "
            "at least two questions."
        )
    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    wanted = float(np.var(centred @ (direction / norm)))
    # The axes beyond the questions' span, which have no variance, are drawn from the rest of space.
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    variance = singular**2 / len(states)
    return np.stack([_draw(axes, variance, wanted, rng) for _ in range(count)])


def _draw(axes: Floats, variance: Floats, wanted: float, rng: np.random.Generator) -> Floats:
    rest = rng.standard_normal(axes.shape[1])
    outside = rest - axes.T @ (axes @ rest)
    inside = rng.standard_normal(len(axes))
    logs = np.log(np.maximum(variance, FLOOR * variance.max()))
    logs -= logs.mean()
    low, high = POWERS
    for _ in range(HALVINGS):
        power = (low + high) / 2
        if _variance(inside, outside, logs, variance, power) < wanted:
            low = power
        else:
            high = power
    found = axes.T @ (inside * np.exp(high * logs)) + outside
    return np.asarray(found / np.linalg.norm(found))


def _variance(
    inside: Floats, outside: Floats, logs: Floats, variance: Floats, power: float
) -> float:
    """Return the variance of states along the draw; larger for a larger ``power``."""
    share = (inside * np.exp(power * logs)) ** 2
    return float(share @ variance / (share.sum() + outside @ outside))
