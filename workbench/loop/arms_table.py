"""The table that the main loop and every recipe end in: one row a condition, one column a measure.

Cells are value and 95 % bootstrap interval over held-out questions. Intervals of two rows may overlap where the paired difference is
clear: differences stand in the summary under ``gain`` and ``over``, not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.loop.recipe_results import PARTS
from workbench.measure import Estimate
from workbench.report.measured import written

# Heading -> key of the summary, before the condition's name.
COLUMNS: Mapping[str, str] = {
    "AUROC2 text": "auroc2.text",
    "within": "auroc2.text.within",
    "AUROC2 expected": "auroc2.expected",
    "within ": "auroc2.expected.within",
    "ECE text": "ece.text",
    "ECE expected": "ece.expected",
    "smooth ECE text": "smooth_ece.text",
    "smooth ECE expected": "smooth_ece.expected",
    "Brier expected": "brier.expected",
    "accuracy": "accuracy",
    "parsed": "parse_rate.text",
    "training tokens": "training.tokens",
    "seconds": "seconds.training",
}
# Where an adapter could have changed answers, and where answers were taught.
MORE_COLUMNS: Mapping[str, str] = {
    "accuracy, adapter on": "accuracy.adapter_on_while_answering",
    "own AUROC2 expected": "own.auroc2.expected",
    "own ECE expected": "own.ece.expected",
    "own Brier expected": "own.brier.expected",
}


def columns_of(summary: Mapping[str, Any]) -> Mapping[str, str]:
    """The table's columns, with those that only some recipes have."""
    return {**COLUMNS, **measured(MORE_COLUMNS, summary)}


def measured(columns: Mapping[str, str], summary: Mapping[str, Any]) -> dict[str, str]:
    """Those of ``columns`` that the summary has of any condition."""
    return {head: key for head, key in columns.items() if any(name.startswith(f"{key}.") for name in summary)}


def table_rows(
    conditions: Iterable[str], summary: Mapping[str, Any], columns: Mapping[str, str] = COLUMNS
) -> list[dict[str, str]]:
    """One row a condition; what a condition does not have is left empty."""
    return [
        {"arm": when, **{head: cell(summary, f"{key}.{when}") for head, key in columns.items()}} for when in conditions
    ]


def part_tables(conditions: Iterable[str], summary: Mapping[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """A table of the domains that were taught and one of those that were not, where some were held out, with the accuracy in each."""
    conditions, found = list(conditions), []
    for part, title in zip(PARTS, ("Domains that were taught", "Domains that were not"), strict=True):
        if f"{part}.questions" not in summary:
            continue
        columns = measured({head: f"{part}.{key}" for head, key in COLUMNS.items()}, summary)
        accuracy = cell(summary, f"{part}.accuracy").replace("\n", " ")
        heading = f"{title}: {summary[f'{part}.questions']} held-out questions, accuracy {accuracy}"
        found.append((heading, table_rows(conditions, summary, columns)))
    return found


def cell(summary: Mapping[str, Any], key: str) -> str:
    """The summary's entry as the table writes it; "" without one."""
    value = summary.get(key)
    if value is None:
        return ""
    if f"{key}.low" in summary:
        return written(Estimate(value, summary[f"{key}.low"], summary[f"{key}.high"], 0))
    return f"{value:.0f} s" if key.startswith("seconds") else written(value)
