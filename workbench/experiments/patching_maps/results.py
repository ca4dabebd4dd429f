"""Measure what the patches of a finished run did: maps, the reliability of attribution, and the
claim.

Shifts: 0 = nothing moved, 1 = moved all the way to the donor. Where donors are other questions each
item is oriented so that its donor is above its base. Intervals are bootstrap intervals over
questions.

A patch shows what a token's states suffice for, not that nothing else carries the same; a large
shift of the last layers at the number's own place is a matter of course.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from workbench.config import RunConfig
from workbench.experiments.patching_maps.cached_confidence_claim import ClaimResult, check_claim
from workbench.experiments.patching_maps.maps import PatchingMap
from workbench.experiments.patching_maps.read import BY_COMPONENT, HEADS, POSITIONS, load_maps
from workbench.patch.verification import Agreement, Kind, Verification, compare
from workbench.pipeline.store import StageStore
from workbench.trace.sites import Component, Site

if TYPE_CHECKING:
    from workbench.experiments.parameters import Parameters


@dataclass(frozen=True)
class PatchingResults:
    """All results on a run.

    Attributes:
        config: the run's settings, with the precision of the maps.
        positions, heads, components: maps by pairing.
        verification: attribution against true patches.
        claim: the verdict and the shifts it depends on; ``claim_floor`` in units of shift.
        items, claim_items: numbers of questions.
        precision: precision of the matrix products.
    """

    config: RunConfig
    parameters: Parameters
    positions: Mapping[str, PatchingMap]
    heads: Mapping[str, PatchingMap]
    components: Mapping[str, PatchingMap]
    verification: Verification
    claim: ClaimResult
    claim_floor: float
    items: int
    claim_items: int
    precision: str

    def summary(self) -> dict[str, Any]:
        """Return the verdict on the claim with its differences, flat."""
        out: dict[str, Any] = {
            "claim": self.claim.verdict,
            "items": self.items,
            "claim_items": self.claim_items,
        }
        for difference, estimate in self.claim.differences.items():
            out |= estimate.to_dict(difference.split(":")[0].replace(" ", "_"))
        return out | self.claim.carried.to_dict("first_token_shift")


def measure_patching(
    config: RunConfig,
    parameters: Parameters,
    maps: StageStore,
    attribution: StageStore,
    claim: StageStore,
) -> PatchingResults:
    """Measure what the three stages read."""
    statistics = {"resamples": config.bootstrap_resamples, "seed": config.seed}
    tensors = claim.tensors("moves")
    distance = tensors["distance"]
    names = [(token, band) for token, band in claim.facts()["conditions"]]
    return PatchingResults(
        config,
        parameters,
        load_maps(maps, POSITIONS),
        load_maps(maps, HEADS),
        load_maps(maps, BY_COMPONENT),
        load_verification(attribution, **statistics),
        check_claim(names, distance, tensors["moved"], **statistics),
        float(np.abs(tensors["own"].mean(axis=0)).max() / distance.mean()),
        len(maps.tensors("readouts")["before"]),
        len(distance),
        maps.facts()["precision"],
    )


def load_verification(stage: StageStore, *, resamples: int, seed: int) -> Verification:
    """Read the scores and true effects of the attribution's cells, and compare the two."""
    table, agreements = stage.table("cells"), []
    for name, cells in table.groupby("file", sort=False):
        component = cast("Component", cells["component"].iloc[0])
        kind = cast("Kind", cells["kind"].iloc[0])
        held = stage.tensors(str(name))
        scores, effects = held["scores"], held["effects"]
        rho, slope = compare(scores, effects, resamples=resamples, seed=seed)
        sites = tuple(Site(int(layer), component) for layer in cells["layer"])
        at = tuple(int(position) for position in cells["position"])
        agreements.append(Agreement(component, kind, sites, at, scores, effects, rho, slope))
    return Verification(tuple(agreements))
