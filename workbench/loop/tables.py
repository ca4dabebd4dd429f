"""The table that the main loop and every recipe end in: one row a condition, one column a measure.

Cells are value and 95 % bootstrap interval over held-out questions. Intervals of two rows may
overlap where the paired difference is clear: differences stand in the summary under ``gain`` and
``over``, not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.measure import Estimate
from workbench.report.measure_page import written

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


def measured(columns: Mapping[str, str], summary: Mapping[str, Any]) -> dict[str, str]:
    """Those of ``columns`` that the summary has of any condition."""
    return {
        head: key
        for head, key in columns.items()
        if any(name.startswith(f"{key}.") for name in summary)
    }


def table_rows(
    conditions: Iterable[str], summary: Mapping[str, Any], columns: Mapping[str, str] = COLUMNS
) -> list[dict[str, str]]:
    """One row a condition; what a condition does not have is left empty."""
    return [
        {"arm": when, **{head: cell(summary, f"{key}.{when}") for head, key in columns.items()}}
        for when in conditions
    ]


def cell(summary: Mapping[str, Any], key: str) -> str:
    """The summary's entry as the table writes it; "" without one."""
    value = summary.get(key)
    if value is None:
        return ""
    if f"{key}.low" in summary:
        return written(Estimate(value, summary[f"{key}.low"], summary[f"{key}.high"], 0))
    return f"{value:.0f} s" if key.startswith("seconds") else written(value)


# Heading -> key of the summary.
KNOWN: Mapping[str, str] = {
    "AUROC2": "auroc2.probe",
    "within": "auroc2.probe.within",
    "layer": "probe.layer",
    "position": "probe.position",
}

ACTS: Mapping[str, str] = {
    "layer gradient rho": "patching.rho",
    "donor slope passes 1/2 at layer": "patching.following.half_layer",
    "shift, last layer": "patching.shift.last_layer",
    "of a random vector": "patching.shift.random_vector",
    "of a random position": "patching.shift.random_position",
    "of its own state": "patching.shift.own_base",
}


def headline_tables(
    conditions: Iterable[str], summary: Mapping[str, Any]
) -> list[tuple[str, list[dict[str, str]]]]:
    """The tables above the figures: what is said, what is known, and where it acts."""
    known = [
        {"probe": when, **{head: cell(summary, key + end) for head, key in KNOWN.items()}}
        for when, end in (("before", ""), ("after", ".after"))
    ]
    acts = [
        {"states of": "the tuned model", **{head: cell(summary, key) for head, key in ACTS.items()}}
    ]
    return [
        (
            f"What is said, on {summary['questions.test']} held-out questions",
            table_rows(conditions, summary, measured(COLUMNS, summary)),
        ),
        ("What is known: a probe on the hidden states, on the same questions", known),
        (
            f"Where it acts: states put into the base model, on {summary['patching.items']} of "
            "them",
            acts,
        ),
    ]
