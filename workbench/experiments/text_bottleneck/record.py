"""Write what was found in several runs as rows of a record: section, row, column, and a number
with its interval or a word.

``docs/generate.py`` makes a page of such rows; nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.bottleneck.ceiling_writers import ABLATION
from workbench.experiments.text_bottleneck.ceiling_results import CeilingResult, writer_name
from workbench.experiments.text_bottleneck.intervention_page import NAMED
from workbench.experiments.text_bottleneck.intervention_results import EXPECTED, Interventions
from workbench.experiments.text_bottleneck.results import BottleneckResults, ConditionResult
from workbench.measure import Estimate

DIGITS = 4
"""Figures kept of a number."""
WRITERS = 4
"""Heads and MLPs of the ceiling that are named."""


@dataclass(frozen=True, eq=False)
class Followed:
    """A run that was followed, by its name."""

    name: str
    results: BottleneckResults


def record_rows(followed: Sequence[Followed]) -> list[dict[str, Any]]:
    """Return the rows of all runs, section by section."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for each in followed:
        for section, row, column, cell in _cells(each):
            sections.setdefault(section, []).append(
                {"section": section, "row": row, "column": column, **_parts(cell)}
            )
    return [row for rows in sections.values() for row in rows]


Cell = tuple[str, str, str, Estimate | float | str]


def _cells(followed: Followed) -> Iterator[Cell]:
    for each in followed.results.conditions:
        row = f"{followed.name}, {each.label}"
        yield from _of_steps(row, each)
        yield from _of_texts(row, each)
        if each.interventions is not None:
            yield from _of_directions(row, each.interventions)
    section = "Share of the gap to the base model's probe that teaching closes"
    for closed in followed.results.closed:
        row = f"{followed.name}, {closed.condition.label}"
        yield section, row, closed.readout, closed.within.share
    for ceiling in followed.results.ceilings:
        yield from _of_ceiling(f"{followed.name}, {ceiling.condition.label}", ceiling)


def _of_steps(row: str, each: ConditionResult) -> Iterator[Cell]:
    section = "Verdicts"
    yield section, row, "verdict", each.verdict.verdict if each.verdict else "none"
    yield section, row, "what undoes it", (each.verdict.remedy if each.verdict else "") or "–"
    largest = each.waterfall.largest
    yield section, row, "most is lost", f"{largest.first} → {largest.second}"
    yield section, row, "probability of the scale", each.mass
    for step in each.waterfall.steps:
        yield "AUROC2 within domain, step by step", row, step.name, step.within
    for loss in each.waterfall.losses:
        column = f"{loss.first} → {loss.second}"
        yield "What is lost from step to step, AUROC2 within domain", row, column, loss.within


def _of_texts(row: str, each: ConditionResult) -> Iterator[Cell]:
    section = "AUROC2 within domain of what would be written"
    for one in each.maps:
        yield section, row, f"by a fixed map: {one.name}", one.within
    if each.interventions is not None:
        mapped = each.interventions.mapped
        yield section, row, "with the probe's reading put onto the numbers", mapped.within
        yield section, row, "with another question's reading", mapped.another
        for number, random in enumerate(mapped.random, start=1):
            yield section, row, f"onto random target {number}", random
    margin = each.margin
    section = "How firm the written value is"
    yield section, row, "margin of right answers (nats)", margin.right
    yield section, row, "of wrong answers", margin.wrong
    yield section, row, "questions move it by", margin.moved
    yield section, row, "share written the commonest value", margin.commonest


def _of_directions(row: str, each: Interventions) -> Iterator[Cell]:
    for removal in each.removals:
        place = f"{row}, layer {removal.layer}"
        column = NAMED[removal.direction, removal.number]
        yield (
            "Expected confidence with a direction taken out: AUROC2 within domain lost",
            place,
            column,
            removal.lost[EXPECTED],
        )
    for name, left in each.left.items():
        for layer, probe in zip(each.layers, left, strict=True):
            section = "What a new probe reads without a direction, AUROC2 within domain"
            yield section, f"{row}, layer {layer}", NAMED[name, 0], probe
    for swap in each.swaps:
        for at, layer in enumerate(each.layers):
            curve = swap.followed
            section = "Slope on the other question's expected confidence after a swap"
            slope = Estimate(
                float(curve.value[at]), float(curve.low[at]), float(curve.high[at]), each.patched
            )
            yield section, f"{row}, layer {layer}", NAMED[swap.direction, swap.number], slope


def _of_ceiling(row: str, each: CeilingResult) -> Iterator[Cell]:
    section = "Who writes the ceiling"
    yield section, row, "ceiling", " or ".join(f"{value:g}" for value in each.ceiling)
    names = [writer_name(each.writers[at]) for at in each.largest[:WRITERS]]
    yield section, row, "largest (layer, part)", "; ".join(names)
    for dose in each.doses[ABLATION]:
        yield section, row, f"margin removed with {dose.size}, nats", dose.removed


def _parts(cell: Estimate | float | str) -> dict[str, Any]:
    if isinstance(cell, str):
        return {"value": None, "low": None, "high": None, "n": None, "word": cell}
    if isinstance(cell, Estimate):
        numbers = [_rounded(each) for each in (cell.value, cell.low, cell.high)]
        return {**dict(zip(("value", "low", "high"), numbers, strict=True)), "n": cell.n}
    return {"value": _rounded(cell), "low": None, "high": None, "n": None}


def _rounded(number: float) -> float | None:
    return None if math.isnan(number) else float(f"{number:.{DIGITS}g}")
