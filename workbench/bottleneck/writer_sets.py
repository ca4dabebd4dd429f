"""Choose the writers of largest share, and random sets like them.

A random set has as many heads and as many MLPs as the chosen one, and each stands for one chosen
writer: it is drawn from those of the same kind whose layer is at most a sixth of the model away (or
from the nearest, where all of those are taken), the chosen ones left out as long as others of the
kind remain. So a chosen set differs from its random ones in which parts it has, not in how many,
nor much in how deep they lie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.arrays import Floats
from workbench.trace.sites import Site

WINDOW = 6
"""A random writer's layer lies at most this part of the model's layers away."""

WriterSet = tuple[int, ...]
"""The indices of writers, in the order in which they were chosen."""


def largest_writers(scores: Floats, size: int) -> WriterSet:
    """Return the ``size`` writers with the largest ``scores`` [writers], largest first."""
    return tuple(int(at) for at in np.argsort(-scores, kind="stable")[:size])


def random_sets(
    writers: Sequence[Site], chosen: WriterSet, count: int, rng: np.random.Generator
) -> list[WriterSet]:
    """Draw ``count`` random sets like ``chosen``."""
    return [_random_set(writers, chosen, rng) for _ in range(count)]


def _random_set(writers: Sequence[Site], chosen: WriterSet, rng: np.random.Generator) -> WriterSet:
    window = max(1, (1 + max(site.layer for site in writers)) // WINDOW)
    drawn: list[int] = []
    for index in chosen:
        like = writers[index]
        kind = [
            at
            for at, site in enumerate(writers)
            if site.component == like.component and at not in drawn
        ]
        free = [at for at in kind if at not in chosen] or kind
        away = np.array([abs(writers[at].layer - like.layer) for at in free])
        near = np.flatnonzero(away <= max(window, away.min()))
        drawn.append(free[int(rng.choice(near))])
    return tuple(drawn)
