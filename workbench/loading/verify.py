"""Verify a loaded model: its parts, its readout, and by which method its branches are run."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from workbench.loading.packing_check import check_packing
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.models.validate import validated
from workbench.trace.sites import COMPONENTS


@dataclass(frozen=True)
class Check:
    """What was verified of one thing, and its outcome in words."""

    what: str
    holds: bool
    found: str


def verify(lm: LanguageModel) -> LanguageModel:
    """Return the model with an architecture of which every claim was tested on real forwards.

    Raises:
        WorkbenchError: for the first check without which nothing here can be trusted.
    """
    lm = validated(lm)
    return check_packing(lm).applied_to(lm)


def described(lm: LanguageModel) -> dict[str, Any]:
    """Return the fields of the model's architecture that say where its parts are."""
    row = lm.architecture
    told = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: value for name, value in told.items() if name not in ("missing", "why_not")}


def checks_of(lm: LanguageModel) -> list[Check]:
    """List what is known of a verified model: components, readout and packing."""
    row = lm.architecture
    between = "logits are read off the last layer's output"
    readout = Check("readout of every layer", row.final_norm is not None, between)
    if not readout.holds:
        readout = replace(readout, found="more than one module stands between last layer and head")
    found = [
        Check("residual stream, causality, no-op patch", True, "as in plain forwards"),
        readout,
    ]
    for component in COMPONENTS:
        why = missing_component_reason(lm, component)
        found.append(Check(component, not why, why or "where the architecture says"))
    packed = "packed, hooked and plain forwards agree, windows active"
    return [*found, Check("packing", row.packable, row.why_not or packed)]
