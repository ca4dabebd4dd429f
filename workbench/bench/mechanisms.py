"""Measure how often the rule of each published claim is right, and how often it errs, on worlds in
which the truth is planted.

A rule errs where it contradicts a claim that is true there, or confirms one that is false; to say
that it cannot tell is no error, and no success. Worlds are simulated: each work draws its estimates
with the interval that its experiment computes (:mod:`workbench.mechanisms`). Rates have Wilson's
95 % interval over worlds, which are independent. They do not show whether the planted worlds are
like a real model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench import progress
from workbench.errors import WorkbenchError
from workbench.measure import wilson_interval
from workbench.mechanisms.catalogue import WORKS, work_named
from workbench.mechanisms.outcomes import CONFIRMED, CONTRADICTED, Outcome
from workbench.mechanisms.work import Claim, PlantedWorld, Work

MOST = 0.05
SIZES = (200, 1000, 4000)
ERROR, POWER = "error", "power"


@dataclass(frozen=True)
class MechanismBench:
    """The rates: two rows a claim, world and size, one of errors and one of power (work, claim,
    world, true, effect, size, rate, value, low, high, n).
    """

    rates: pd.DataFrame

    @property
    def values(self) -> dict[str, Any]:
        """The largest rate of errors of every claim, with dotted keys."""
        errors = self.rates[self.rates["rate"] == ERROR]
        keys = errors["work"] + "." + errors["claim"] + ".worst"
        worst = errors["value"].groupby(keys, sort=False).max()
        return {str(key): float(rate) for key, rate in worst.items()}


def bench_mechanisms(
    *, worlds: int, sizes: Sequence[int] = SIZES, works: Sequence[str] = tuple(WORKS)
) -> MechanismBench:
    """Judge ``worlds`` worlds of each kind and size of the named ``works``.

    Raises:
        WorkbenchError: for an unknown work, and where no claim of them has a world.
    """
    planned = [
        (work, claim, world, size)
        for work in map(work_named, works)
        for claim in work.claims
        for world in claim.worlds
        for size in sizes
    ]
    if not planned:
        raise WorkbenchError("There is nothing to judge: the works chosen have no planted worlds.")
    rows = [
        row
        for one in progress.track(planned, "judging planted worlds")
        for row in _rates(*one, worlds=worlds)
    ]
    return MechanismBench(pd.DataFrame(rows))


def judge_world(claim: Claim, world: PlantedWorld, size: int, seed: int) -> Outcome:
    """Return the outcome of the claim's rule in one world."""
    return claim.judge(world.simulate(np.random.default_rng(seed), size))


def _rates(
    work: Work, claim: Claim, world: PlantedWorld, size: int, *, worlds: int
) -> Iterator[dict[str, Any]]:
    found = [judge_world(claim, world, size, seed) for seed in range(worlds)]
    right, wrong = (CONFIRMED, CONTRADICTED) if world.true else (CONTRADICTED, CONFIRMED)
    for rate, outcome in ((ERROR, wrong), (POWER, right)):
        count = sum(one == outcome for one in found)
        low, high = (float(each) for each in wilson_interval(np.float64(count), np.int64(worlds)))
        yield {
            "work": work.name,
            "claim": claim.name,
            "world": world.name,
            "true": world.true,
            "effect": world.effect,
            "size": size,
            "rate": rate,
            "value": count / worlds,
            "low": low,
            "high": high,
            "n": worlds,
        }
