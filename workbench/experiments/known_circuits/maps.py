"""Keep a map of patches or estimates in a stage's folder, and read it back as what it was."""

from __future__ import annotations

from typing import Any

from workbench.api.results import PatchMap, Readings
from workbench.patch.effect_map import Axis
from workbench.pipeline.store import StageStore

_DONOR = "donor's own run"


def save_map(stage: StageStore, name: str, found: PatchMap) -> dict[str, Any]:
    """Write every reading as tensors; return what else :func:`load_map` needs, for the facts."""
    tensors = {f"{part.name}, unpatched": part.base for part in found.conditions}
    tensors |= {part.name: part.patched for part in found.conditions}
    if found.donor is not None:
        tensors[_DONOR] = found.donor
    stage.save_tensors(name, tensors)
    conditions = [
        {
            "name": part.name,
            "role": part.role,
            "axes": [[axis.name, list(axis.labels)] for axis in part.axes],
        }
        for part in found.conditions
    ]
    return {"read": found.read, "what": found.what, "conditions": conditions}


def load_map(stage: StageStore, name: str) -> PatchMap:
    """Read a map that :func:`save_map` wrote, whose facts are under its name."""
    facts, tensors = stage.facts()[name], stage.tensors(name)
    conditions = tuple(
        Readings(
            part["name"],
            part["role"],
            tuple(Axis(axis, tuple(labels)) for axis, labels in part["axes"]),
            tensors[f"{part['name']}, unpatched"],
            tensors.get(_DONOR),
            tensors[part["name"]],
        )
        for part in facts["conditions"]
    )
    return PatchMap(facts["read"], facts["what"], conditions)
