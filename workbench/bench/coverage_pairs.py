"""Look at the intervals of what a law's two confidences tell beyond each other: residual AUROC2 and
parts of the variance of correctness.

The truth is that of the law's cells in proportion: both confidences are independent given the kind
of question and the grade, so a cell is a kind, a grade and a step of each. The regression of the
truth is that of all cells together (endless questions need no cross-fit). Laws with thousands of
steps have too many cells and have no row here; unparsed replies are left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.bench.coverage_laws import AnswerLaw, DrawnAnswers
from workbench.errors import WorkbenchError
from workbench.measure.bootstrap import Bootstrap
from workbench.measure.distinct_rows import Codes
from workbench.measure.interval import Estimate
from workbench.measure.residual import ResidualAuroc2, residual_discrimination
from workbench.measure.variance_partition import Partition, names_of, variance_partition

RESIDUALS = ("residual.first", "residual.second", "residual_within.first", "residual_within.second")
PARTS = tuple(f"partition.{name}" for name in names_of(("first", "second")))
PAIR_MEASURES = (*RESIDUALS, *PARTS)
MOST_STEPS = 50


def pair_truths(law: AnswerLaw) -> dict[str, float]:
    """Return every pair measure of the law itself; nothing for a law of too many steps."""
    if len(law.levels) > MOST_STEPS:
        return {}
    first, second, correct, domain, counts = _cells(law)
    each = counts[None]
    pairs = {"first": (first, second), "second": (second, first)}
    found = {
        f"{kind}.{name}": float(ResidualAuroc2(*pair, correct, None, codes)(each)[0])
        for kind, codes in (("residual", None), ("residual_within", domain))
        for name, pair in pairs.items()
    }
    columns = {"first": first[:, None], "second": second[:, None]}
    parts = Partition(correct.astype(np.float64), columns, None)(each)[0]
    return found | dict(zip(PARTS, parts.tolist(), strict=True))


def _cells(law: AnswerLaw) -> tuple[Floats, Floats, Bools, Codes, Floats]:
    """Return the law's parsed cells: two confidences, grade, domain and share."""
    grades = np.stack([1 - law.accuracy, law.accuracy], axis=1) * law.share[:, None]
    mass = (grades * np.array(law.parsed))[:, :, None, None] * (
        law.first[:, :, :, None] * law.second[:, :, None, :]
    )
    held = np.flatnonzero(mass.ravel() > 0)
    kind, grade, one, other = np.unravel_index(held, mass.shape)
    share = mass.ravel()[held]
    return (
        law.levels[one],
        law.levels[other],
        grade.astype(np.bool_),
        law.domain[kind],
        share / share.sum() * len(held),
    )


def pair_intervals(
    drawn: DrawnAnswers, draw: Bootstrap, wanted: Mapping[str, bool]
) -> dict[str, Estimate]:
    """Return the pair measures of one drawn table; nothing where they are not defined, as for a
    confidence that never changes.
    """
    found: dict[str, Estimate] = {}
    try:
        if any(wanted[name] for name in RESIDUALS):
            pair = residual_discrimination(
                drawn.first, drawn.second, drawn.correct, drawn.domain, draw
            )
            within = (pair.first.residual_within, pair.second.residual_within)
            residuals = (pair.first.residual, pair.second.residual, *within)
            found |= {name: each for name, each in zip(RESIDUALS, residuals, strict=True) if each}
        if any(wanted[name] for name in PARTS):
            parts = variance_partition(
                drawn.correct, {"first": drawn.first, "second": drawn.second}, draw
            )
            each = list(parts.parts.values())
            shares = [
                parts.joint,
                parts.shared,
                *(p.alone for p in each),
                *(p.unique for p in each),
            ]
            found |= dict(zip(PARTS, shares, strict=True))
    except WorkbenchError:
        # Nearly all unparsed, or all right: such a table has no such numbers.
        return found
    return {name: each for name, each in found.items() if wanted[name]}
