"""Write a plan as tables of words, and as values for JSON."""

from __future__ import annotations

from typing import Any

from workbench.plan.placements import Placed
from workbench.plan.plan import Plan
from workbench.plan.stage_plans import StagePlan

_UNKNOWN = "not known"


def stage_rows(plan: Plan) -> list[dict[str, str]]:
    """Return a row of words for every stage, with the chosen placement's seconds."""
    return [
        {
            "stage": stage.name,
            "batches": f"{stage.batches:,}",
            "passes": f"{len(stage.forwards):,}",
            "tokens": f"{stage.tokens:,.0f}" + ("" if stage.exact else " (about)"),
            "operations": f"{stage.total_operations:.3g}",
            "weights": gigabytes(stage.memory.weights),
            "cache": gigabytes(stage.memory.cache),
            "pass": gigabytes(stage.memory.working),
            "adapter": gigabytes(stage.memory.training),
            "kept": gigabytes(stage.memory.kept),
            "states": gigabytes(stage.memory.states + stage.memory.disk),
            "read": gigabytes(plan.chosen.read_bytes.get(stage.name, 0.0)),
            "time": _time_of(plan.chosen, stage),
        }
        for stage in plan.stages
    ]


def placement_rows(plan: Plan) -> list[dict[str, str]]:
    """Return a row of words for every placement."""
    return [
        {
            "placement": each.name + (" (chosen)" if each is plan.chosen else ""),
            "fits": each.why_not or "yes",
            "each device": gigabytes(each.device_bytes) if each.devices else "–",
            "main memory": gigabytes(each.main_bytes),
            "read or moved": gigabytes(sum(each.read_bytes.values())),
            "time": _UNKNOWN if each.total_seconds is None else duration(each.total_seconds),
            "cannot do": ", ".join(each.refused) or "–",
        }
        for each in plan.placed
    ]


def assumptions(plan: Plan) -> list[str]:
    """Return what a plan assumes, a sentence each."""
    lengths = ", ".join(f"{name} {value:.1f}" for name, value in plan.lengths.items())
    formats = plan.formats
    return [
        *plan.notes,
        f"Mean tokens: {lengths}.",
        f"A weight of a layer takes {formats.linear:g} bytes, another {formats.rest:g}, a state "
        f"{formats.states:g}; products are made in {formats.products}.",
    ]


def plan_values(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "model": plan.shape.name,
        "weights": plan.shape.weights,
        "devices": plan.machine.stated,
        "questions": plan.questions,
        "lengths": plan.lengths,
        "assumptions": assumptions(plan),
        "chosen": plan.chosen.name,
        "stages": [_stage_values(plan, stage) for stage in plan.stages],
        "placements": [
            {
                "name": each.name,
                "why_not": each.why_not,
                "devices": each.devices,
                "device_bytes": round(each.device_bytes),
                "main_bytes": round(each.main_bytes),
                "seconds": each.total_seconds,
                "refused": list(each.refused),
                "read_bytes": {name: round(count) for name, count in each.read_bytes.items()},
                "rates": each.rates,
            }
            for each in plan.placed
        ],
    }


def _stage_values(plan: Plan, stage: StagePlan) -> dict[str, Any]:
    memory = stage.memory
    return {
        "name": stage.name,
        "batches": stage.batches,
        "passes": len(stage.forwards),
        "tokens": stage.tokens,
        "exact": stage.exact,
        "operations": stage.operations,
        "probe_operations": stage.probe_operations,
        "readings_of_weights": len(stage.reads),
        "bytes": {
            "weights": round(memory.weights),
            "cache": round(memory.cache),
            "pass": round(memory.working),
            "adapter": round(memory.training),
            "kept": round(memory.kept),
            "states": round(memory.states),
            "states_on_disk": round(memory.disk),
            "process": round(memory.process),
        },
        "seconds": (plan.chosen.seconds or {}).get(stage.name),
    }


def gigabytes(count: float) -> str:
    """Return bytes in words."""
    if count < 5e6:
        return "–" if count < 1 else "<0.01 GB"
    return f"{count / 1e9:,.2f} GB" if count < 1e10 else f"{count / 1e9:,.0f} GB"


def duration(seconds: float) -> str:
    """Return seconds in words."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:,.3g} h"


def _time_of(chosen: Placed, stage: StagePlan) -> str:
    if stage.name in chosen.refused:
        return "not done"
    if chosen.seconds is None:
        return _UNKNOWN
    return duration(chosen.seconds.get(stage.name, 0.0))
