"""Arms taught on one domain alone, to see what carries over to the others.

From one arm of a recipe: ``<arm>-<domain>`` makes its targets from the questions of that domain and is taught them alone, and
``<arm>-mixed`` is taught as large a share of every domain as one domain is of all, so that breadth can be told from amount; the arm itself is taught all.
What it does not show: sources that were measured on all training questions before, such as a probe, have seen the other domains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.teach.recipes.recipe import Arm, Recipe
from workbench.teach.target_inputs import Material

MIXED = "mixed"
Values = Callable[[Material], NDArray[np.float64]]


def domain_arm(arm: str, domain: str) -> str:
    """Name of ``arm`` taught on ``domain`` alone."""
    return f"{arm}-{re.sub(r'[^a-z0-9]+', '-', domain.lower()).strip('-')}"


def by_domain(recipe: Recipe, arm: str, domains: Sequence[str]) -> Recipe:
    """The recipe with this arm, its mixed one and one for each of ``domains``; pairs are not asked.

    Errors: WorkbenchError for fewer than two domains, and for two whose names differ in no letter or digit.
    """
    if len(domains) < 2:
        raise WorkbenchError(f"Transfer needs at least two domains of questions, there is {len(domains)}.")
    whole = recipe.arm(arm)
    single = [_on(whole, domain) for domain in domains]
    arms = (whole, _mixed(whole, len(domains)), *single)
    return replace(recipe, arms=arms, default=tuple(each.name for each in arms), pairs=False)


def _on(arm: Arm, domain: str) -> Arm:
    def drawn(material: Material) -> NDArray[np.int64]:
        mine = _members(material, domain)
        return mine if arm.drawn is None else mine[arm.drawn(_of(material, mine))]

    def spread(values: Values) -> Values:
        def of_all(material: Material) -> NDArray[np.float64]:
            mine = _members(material, domain)
            out = np.full(len(material.row), np.nan)
            out[mine] = values(_of(material, mine))
            return out

        return of_all

    return replace(
        arm,
        name=domain_arm(arm.name, domain),
        about=f"{arm.about}; of the domain {domain} alone",
        targets=spread(arm.targets),
        drawn=drawn,
        levels=None if arm.levels is None else spread(arm.levels),
    )


def _mixed(arm: Arm, domains: int) -> Arm:
    def drawn(material: Material) -> NDArray[np.int64]:
        usable = np.arange(len(material.row)) if arm.drawn is None else arm.drawn(material)
        rng = np.random.default_rng(material.seed)
        labels = material.domain[usable]
        parts = [rng.permutation(usable[labels == name]) for name in np.unique(labels)]
        return np.sort(np.concatenate([part[: round(len(part) / domains)] for part in parts]))

    return replace(arm, name=f"{arm.name}-{MIXED}", about=f"{arm.about}; 1/{domains} of every domain", drawn=drawn)


def _members(material: Material, domain: str) -> NDArray[np.int64]:
    return np.flatnonzero(material.domain == domain)


def _of(material: Material, rows: NDArray[np.int64]) -> Material:
    sources = {name: values[rows] for name, values in material.sources.items()}
    return Material(material.row[rows], material.correct[rows], material.domain[rows], sources, material.seed)
