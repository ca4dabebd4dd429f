"""Make arms trained on one domain alone, to see what transfers to the others.

From one arm of a recipe: ``<arm>-<domain>`` makes its targets from the questions of that domain and
is trained on them alone. ``<arm>-mixed`` is trained on as large a share of every domain as one
domain is of all, so that breadth can be told from amount. The arm itself is trained on all. A
caveat: sources that were measured on all training questions before, such as a probe, have seen the
other domains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.teach.recipes.recipe import Arm, Recipe
from workbench.teach.target_inputs import TargetInputs

MIXED = "mixed"
Values = Callable[[TargetInputs], NDArray[np.float64]]


def domain_arm(arm: str, domain: str) -> str:
    """Return the name of ``arm`` trained on ``domain`` alone."""
    return f"{arm}-{re.sub(r'[^a-z0-9]+', '-', domain.lower()).strip('-')}"


def split_arm_by_domain(recipe: Recipe, arm: str, domains: Sequence[str]) -> Recipe:
    """Return the recipe with this arm, its mixed one and one for each of ``domains``; comparisons
    of pairs are left out.

    Raises:
        WorkbenchError: for fewer than two domains, and for two whose names differ in no letter or
            digit.
    """
    if len(domains) < 2:
        raise WorkbenchError(
            f"Transfer needs at least two domains of questions, there is {len(domains)}."
        )
    whole = recipe.arm(arm)
    single = [_on(whole, domain) for domain in domains]
    arms = (whole, _mixed(whole, len(domains)), *single)
    return replace(recipe, arms=arms, default=tuple(each.name for each in arms), pairs=False)


def _on(arm: Arm, domain: str) -> Arm:
    def drawn(inputs: TargetInputs) -> NDArray[np.int64]:
        mine = _members(inputs, domain)
        return mine if arm.subset is None else mine[arm.subset(_of(inputs, mine))]

    def spread(values: Values) -> Values:
        def of_all(inputs: TargetInputs) -> NDArray[np.float64]:
            mine = _members(inputs, domain)
            out = np.full(len(inputs.row), np.nan)
            out[mine] = values(_of(inputs, mine))
            return out

        return of_all

    return replace(
        arm,
        name=domain_arm(arm.name, domain),
        about=f"{arm.about}; of the domain {domain} alone",
        targets=spread(arm.targets),
        subset=drawn,
        bin_accuracy=None if arm.bin_accuracy is None else spread(arm.bin_accuracy),
    )


def _mixed(arm: Arm, domains: int) -> Arm:
    def drawn(inputs: TargetInputs) -> NDArray[np.int64]:
        usable = np.arange(len(inputs.row)) if arm.subset is None else arm.subset(inputs)
        rng = np.random.default_rng(inputs.seed)
        labels = inputs.domain[usable]
        parts = [rng.permutation(usable[labels == name]) for name in np.unique(labels)]
        return np.sort(np.concatenate([part[: round(len(part) / domains)] for part in parts]))

    return replace(
        arm,
        name=f"{arm.name}-{MIXED}",
        about=f"{arm.about}; 1/{domains} of every domain",
        subset=drawn,
    )


def _members(inputs: TargetInputs, domain: str) -> NDArray[np.int64]:
    return np.flatnonzero(inputs.domain == domain)


def _of(inputs: TargetInputs, rows: NDArray[np.int64]) -> TargetInputs:
    sources = {name: values[rows] for name, values in inputs.sources.items()}
    return TargetInputs(
        inputs.row[rows], inputs.correct[rows], inputs.domain[rows], sources, inputs.seed
    )
