"""Test a claim of the literature on where the stated confidence is written, by a rule fixed before
the data.

Kumaran et al. 2026 (arXiv 2603.17839): confidence is gathered from the answer at the first token
after it, kept there, and retrieved at the place where the number is written. With states of another
question as donors (shifts oriented, see :mod:`workbench.patch.segments`) the claim predicts three
differences above zero:

- *gathered*: the first token after the answer carries more than a random other token of the same
  turn, over all layers;
- *moved on from the answer*: from the middle layers on it carries more than the answer's tokens do;
- *retrieved late*: the confidence position carries more in the late third of the layers than in the
  early one.

Rule: reproduced if all three intervals are above zero; contradicted if any is below zero, or if the
interval of the first token's shift over all layers is below ``NEGLIGIBLE_SHIFT``; undecided
otherwise. Intervals are at 1 - 0.05 / 4, so that all four hold together at 95 %.

Patching shows what a token's states suffice for, not that nothing else carries the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.arrays import Floats
from workbench.elicit.segments import AFTER_ANSWER, ANSWER, CONFIDENCE, Segment
from workbench.experiments.patching_maps.maps import layer_bands
from workbench.measure import Estimate, bootstrap
from workbench.patch.branches import Cell, layer_sites

Verdict = Literal["reproduced", "contradicted", "undecided"]
CONTROL = "random token of the turn"
BOTH = "both"
NEGLIGIBLE_SHIFT = 0.1
LEVEL = 1 - 0.05 / 4
Condition = tuple[str, str]


@dataclass(frozen=True)
class ClaimResult:
    """The shifts of the claim's conditions, its predicted differences, and the verdict."""

    shifts: dict[Condition, Estimate]
    differences: dict[str, Estimate]
    carried: Estimate
    verdict: Verdict


def conditions(
    parts: Sequence[Segment], control: Segment, n_layers: int
) -> dict[Condition, Cell[Segment]]:
    """Return the claim's cells: (token, band of layers) -> cell. A cell is the residual stream
    after every layer of the band at once.

    Bands are the thirds of the layers and all of them. Patched together, "both" are the first token
    after the answer and the confidence position.
    """
    named = {part.name: part for part in parts}
    after, number = named[AFTER_ANSWER], named[CONFIDENCE]
    tokens = {
        ANSWER: (named[ANSWER],),
        AFTER_ANSWER: (after,),
        CONFIDENCE: (number,),
        BOTH: (after, number),
        CONTROL: (control,),
    }
    bands = layer_bands(n_layers)
    return {
        (token, band): Cell(tuple(layer_sites(layers)), segments)
        for token, segments in tokens.items()
        for band, layers in bands.items()
    }


def check_claim(
    names: Sequence[Condition], distance: Floats, moved: Floats, *, resamples: int, seed: int
) -> ClaimResult:
    """Apply the rule to the claim's moves.

    Args:
        names: [conditions] in the order of ``moved``.
        distance: [items] from base to donor, positive.
        moved: [items, conditions] towards the donor.
    """
    column = {name: moved[:, index] for index, name in enumerate(names)}

    def estimate(more: Floats, level: float, less: Floats | None = None) -> Estimate:
        difference = more if less is None else more - less
        return bootstrap(
            lambda m, d: float(m.mean() / d.mean()),
            difference,
            distance,
            seed=seed,
            resamples=resamples,
            level=level,
        )

    first = column[AFTER_ANSWER, "all"]
    differences = {
        "gathered: first token after the answer − random token": estimate(
            first, LEVEL, column[CONTROL, "all"]
        ),
        "moved on: first token after the answer − answer, middle layers": estimate(
            column[AFTER_ANSWER, "middle"], LEVEL, column[ANSWER, "middle"]
        ),
        "retrieved late: confidence position, late − early layers": estimate(
            column[CONFIDENCE, "late"], LEVEL, column[CONFIDENCE, "early"]
        ),
    }
    carried = estimate(first, LEVEL)
    shifts = {name: estimate(values, 0.95) for name, values in column.items()}
    return ClaimResult(shifts, differences, carried, verdict(list(differences.values()), carried))


def verdict(differences: Sequence[Estimate], carried: Estimate) -> Verdict:
    """Apply the rule to three predicted differences and the first token's shift."""
    if any(difference.high < 0 for difference in differences) or carried.high < NEGLIGIBLE_SHIFT:
        return "contradicted"
    known = not any(np.isnan(difference.low) for difference in differences)
    return (
        "reproduced"
        if known and all(difference.low > 0 for difference in differences)
        else "undecided"
    )
