"""The tables above the main loop's figures: what is said, what is known, and where it acts.

A few entries of the summary each, with their intervals. The table of what is said is that of the recipes; see there for what it does not show.
A probe that tells right from wrong shows that a state carries the difference, not that the model uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.loop.arms_table import COLUMNS, cell, measured, table_rows

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
    "of its own state": "patching.shift.self",
}


def leads(conditions: Iterable[str], summary: Mapping[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """The tables above the figures: what is said, what is known, and where it acts."""
    known = [
        {"probe": when, **{head: cell(summary, key + end) for head, key in KNOWN.items()}}
        for when, end in (("before", ""), ("after", ".after"))
    ]
    acts = [{"states of": "the tuned model", **{head: cell(summary, key) for head, key in ACTS.items()}}]
    return [
        (
            f"What is said, on {summary['questions.test']} held-out questions",
            table_rows(conditions, summary, measured(COLUMNS, summary)),
        ),
        ("What is known: a probe on the hidden states, on the same questions", known),
        (f"Where it acts: states put into the base model, on {summary['patching.items']} of them", acts),
    ]
