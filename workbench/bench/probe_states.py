"""Make random states with the spectrum of a residual stream, and labels that can be read from them.

A few hundred directions of falling variance (the k-th direction's standard deviation falls as the
root of k) lie over noise of every feature; the labels follow some of the directions. Real states
are not Gaussian and their noise has more structure, so iteration counts on them differ somewhat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Bools

DIRECTIONS = 256
NOISE = 0.5
TOLD = 8


@dataclass(frozen=True, eq=False)
class LabelledStates:
    """States [n, layers, 1, width] and labels [n]."""

    states: NDArray[np.float32]
    labels: Bools


def make_states(rows: int, layers: int, width: int, seed: int) -> LabelledStates:
    """Draw states of ``layers`` sites that share their labels."""
    rng = np.random.default_rng(seed)
    told = rng.standard_normal((rows, TOLD)).astype(np.float32)
    labels = told.mean(axis=1) * np.sqrt(TOLD) + rng.standard_normal(rows) > 0
    states = np.empty((rows, layers, 1, width), dtype=np.float32)
    spread = (DIRECTIONS / np.arange(1, DIRECTIONS + 1)) ** 0.5
    for layer in range(layers):
        along = rng.standard_normal((rows, DIRECTIONS), dtype=np.float32)
        along[:, 20 : 20 + TOLD] = told
        basis = rng.standard_normal((DIRECTIONS, width), dtype=np.float32) / DIRECTIONS**0.5
        noise = rng.standard_normal((rows, width), dtype=np.float32)
        states[:, layer, 0] = (along * spread.astype(np.float32)) @ basis + NOISE * noise
    return LabelledStates(states, labels)
