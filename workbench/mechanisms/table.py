"""Write gathered verdicts as rows of a results page: section, row, column, and a word or a number
with its interval.

The first section has a row a claim and a column a model; then each work has its numbers, and the
published ones in the column before. ``docs/record_mechanisms.py`` puts the rows into a file that
``docs/generate.py`` makes the page of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from workbench.mechanisms.gather import Tested
from workbench.mechanisms.over_seeds import SeedMean
from workbench.mechanisms.page import NOT_KNOWN
from workbench.mechanisms.work import REVISED, Claim

VERDICTS = "Verdicts"
DIGITS = 4
"""Figures kept of a number."""


def table_rows(tested: Sequence[Tested]) -> list[dict[str, Any]]:
    """Return all rows, the verdicts first."""
    return [*_verdicts(tested), *(row for each in tested for row in _numbers(each))]


def _verdicts(tested: Sequence[Tested]) -> Iterator[dict[str, Any]]:
    for each in tested:
        for claim in each.work.claims:
            row = f"{claim.sentence} ({claim.arxiv})"
            yield _word(VERDICTS, row, str(each.subject), _verdict(each, claim))


def _verdict(each: Tested, claim: Claim) -> str:
    """Return the verdict; of several seeds also in how many it is the same; and whether the test
    was changed after numbers were seen.
    """
    outcome = each.outcomes[claim.name]
    same = sum(one == outcome for one in each.by_seed[claim.name].values())
    seeds = "1 seed" if len(each.seeds) == 1 else f"{same} of {len(each.seeds)} seeds alone"
    return f"{outcome}, {seeds}{f'; {REVISED.lower()}' if claim.revised else ''}"


def _numbers(each: Tested) -> Iterator[dict[str, Any]]:
    section = f"{each.work.title.rstrip('?')}: {each.subject}"
    for claim in each.work.claims:
        row = f"rule: {claim.name.replace('_', ' ')}"
        yield _word(section, row, "here", f"{each.outcomes[claim.name]}: {claim.told_rule}")
        yield _word(section, row, "published", _published(claim))
    for quantity in each.work.quantities:
        row = f"{quantity.axis}: {quantity.label}{' (control)' if quantity.control else ''}"
        if quantity.name in each.means:
            mean = each.means[quantity.name]
            yield {"section": section, "row": row, "column": "here", **_parts(mean)}
            if mean.seeds > 1:
                yield {
                    **_word(section, row, "deviation over seeds", ""),
                    "word": f"{mean.deviation:.3f}",
                }
        else:
            why = each.reasons.get(quantity.name, "not in every seed")
            yield _word(section, row, "here", f"not measured: {why}")


def _published(claim: Claim) -> str:
    if claim.published is None:
        return NOT_KNOWN
    return "; ".join(f"{one.measure}: {one.figure} ({one.place})" for one in claim.published)


def _word(section: str, row: str, column: str, word: str) -> dict[str, Any]:
    empty = {"value": None, "low": None, "high": None, "n": None}
    return {"section": section, "row": row, "column": column, **empty, "word": word}


def _parts(mean: SeedMean) -> dict[str, Any]:
    numbers = (mean.estimate.value, mean.estimate.low, mean.estimate.high)
    rounded = [None if math.isnan(one) else float(f"{one:.{DIGITS}g}") for one in numbers]
    return {**dict(zip(("value", "low", "high"), rounded, strict=True)), "n": mean.estimate.n}
