"""Draw the maps, the attribution and the claim, and make the page: titles, tables, explanations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.experiments.patching_maps.cached_confidence_claim import (
    NEGLIGIBLE_SHIFT,
    ClaimResult,
)
from workbench.experiments.patching_maps.maps import PatchingMap
from workbench.experiments.patching_maps.read import (
    ACROSS,
    ACROSS_TUNED,
    GATHERING,
    TAUGHT,
)
from workbench.experiments.patching_maps.results import PatchingResults
from workbench.measure.interval import IntervalCurve
from workbench.models.embedded_models import title_of
from workbench.patch.verification import Verification
from workbench.plots import (
    AttributionScatter,
    ComponentMap,
    EstimateRow,
    EstimateRows,
    LayerHeadMap,
    LayerPositionMap,
    ScatterGroup,
)
from workbench.report import Page, Section

DONORS_ACROSS = (
    "Donors are other questions in the same model; shifts follow the donor's own confidence, not "
    "its general level."
)
COMPONENT_NAMES = {"attn_out": "attention", "mlp_out": "MLP"}


@dataclass(frozen=True)
class Kind:
    """The words for one pairing: a part of every title, and what its donors are."""

    title: str
    explanation: str


KINDS = {
    ACROSS: Kind("before teaching", DONORS_ACROSS),
    ACROSS_TUNED: Kind(
        "after teaching", f"{DONORS_ACROSS} Base and donor both have the adapter on."
    ),
    TAUGHT: Kind(
        "what teaching added",
        "Donors are the tuned model's states of the same question, put into the base model; the "
        "general level that teaching moved counts.",
    ),
    GATHERING: Kind(
        "first token after the answer",
        f"{DONORS_ACROSS} Patched at the first token after the answer, before teaching.",
    ),
}


def page_of(results: PatchingResults) -> Page:
    """Return the page: maps by position, head and component, the attribution, the claim."""
    config = results.config
    statistics = {"resamples": config.bootstrap_resamples, "seed": config.seed}

    def caption(items: int) -> str:
        return (
            f"{items} held-out questions, {title_of(config.model.name)}, matrix products in "
            f"{results.precision}"
        )

    of_maps = caption(results.items)
    sections = [
        draw(key, found, of_maps, **statistics)
        for maps, draw in (
            (results.positions, position_section),
            (results.heads, head_section),
            (results.components, component_section),
        )
        for key, found in maps.items()
    ]
    floor = results.positions[ACROSS].item_floor()
    sections.append(scatter_section(results.verification, floor, of_maps))
    sections += claim_sections(results.claim, results.claim_floor, caption(results.claim_items))
    return Page(
        f"Where does {title_of(config.model.name)} write its confidence?",
        sections,
        results.summary(),
        {
            "parameters": results.parameters.model_dump(mode="json"),
            "run": config.model_dump(mode="json"),
        },
        notes=(of_maps, str(results.verification)),
    )


def position_section(
    key: str, found: PatchingMap, caption: str, *, resamples: int, seed: int
) -> Section:
    """Draw the layer x part map of one pairing."""
    layer, part = found.effects.axes
    kind, table = KINDS[key], found.table(resamples=resamples, seed=seed)
    shape = (len(layer.labels), len(part.labels))
    figure = LayerPositionMap(
        layers=np.array(layer.labels),
        parts=[str(label) for label in part.labels],
        shift=_grid(table, "shift", shape),
        low=_grid(table, "low", shape),
        high=_grid(table, "high", shape),
        p_any=_grid(table, "p_any", shape),
        floor=found.floor(),
        title=f"Layer by position: {kind.title}",
        caption=_with_control(caption, found),
    ).figure()
    return Section(f"Layer by position, {kind.title}", kind.explanation, figure, f"positions_{key}")


def head_section(
    key: str, found: PatchingMap, caption: str, *, resamples: int, seed: int
) -> Section:
    """Draw the layer x head map of one pairing at one part."""
    layer, head, part = found.effects.axes
    kind, table = KINDS[key], found.table(resamples=resamples, seed=seed)
    shape = (len(layer.labels), len(head.labels))
    figure = LayerHeadMap(
        layers=np.array(layer.labels),
        shift=_grid(table, "shift", shape),
        low=_grid(table, "low", shape),
        high=_grid(table, "high", shape),
        p_any=_grid(table, "p_any", shape),
        floor=found.floor(),
        title=f"Single heads at the {part.labels[0]}: {kind.title}",
        caption=_with_control(caption, found),
    ).figure()
    return Section(f"Layer by head, {kind.title}", kind.explanation, figure, f"heads_{key}")


def component_section(
    key: str, found: PatchingMap, caption: str, *, resamples: int, seed: int
) -> Section:
    """Draw the components of one pairing at one part, as curves over layers."""
    component, layer, part = found.effects.axes
    kind, table = KINDS[key], found.table(resamples=resamples, seed=seed)
    names = {str(name): COMPONENT_NAMES.get(str(name), str(name)) for name in component.labels}
    rows = {shown: table[table["component"] == name] for name, shown in names.items()}
    figure = ComponentMap(
        layers=np.array(layer.labels),
        curves={
            shown: IntervalCurve(*(mine[column].to_numpy() for column in ("shift", "low", "high")))
            for shown, mine in rows.items()
        },
        p_any={shown: mine["p_any"].to_numpy() for shown, mine in rows.items()},
        floor=found.floor(),
        title=f"Attention and MLP at the {part.labels[0]}: {kind.title}",
        caption=_with_control(caption, found),
    ).figure()
    return Section(f"Components, {kind.title}", kind.explanation, figure, f"components_{key}")


def scatter_section(verification: Verification, floor: float, caption: str) -> Section:
    """Draw attribution scores against true patches; ``floor`` is the largest move of a readout
    under its own states.
    """
    groups = [
        ScatterGroup(
            a.component, f"{a.kind} cells", a.scores.ravel(), a.effects.ravel(), a.rho, a.slope
        )
        for a in verification.agreements
    ]
    figure = AttributionScatter(
        groups=groups, floor=floor, title="Attribution against true patching", caption=caption
    ).figure()
    explanation = (
        "One point a question and cell, donors from other questions, before teaching. The largest "
        "cells were chosen by their "
        "score and so exaggerate; the random ones say what the rest of the map is worth."
    )
    return Section("Attribution against true patching", explanation, figure, "attribution")


def claim_sections(found: ClaimResult, floor: float, caption: str) -> list[Section]:
    """Draw the three differences with the verdict, and the shifts of every condition they come
    from; ``floor`` is in units of shift.
    """
    rule = [
        EstimateRow("difference", name, estimate) for name, estimate in found.differences.items()
    ]
    rule.append(
        EstimateRow("difference", "first token after the answer, all layers", found.carried)
    )
    differences = EstimateRows(
        rows=rule,
        axis="difference of shifts (last row: shift)",
        title=f"Gathered after the answer, retrieved at the number: {found.verdict}",
        caption=f"{caption} · intervals hold together at 95 %",
        bound=NEGLIGIBLE_SHIFT,
        floor=floor,
    ).figure()
    conditions = EstimateRows(
        rows=[
            EstimateRow(f"{band} layers", token, estimate)
            for (token, band), estimate in found.shifts.items()
        ],
        axis="shift (0 = base, 1 = donor)",
        title="One token patched, in a third of the layers or in all",
        caption=caption,
        floor=floor,
    ).figure()
    return [
        Section(
            "The claim",
            "Reproduced if the first three intervals lie above zero; contradicted if one of them "
            "lies below it, or the last "
            f"below {NEGLIGIBLE_SHIFT:g} (dotted); undecided otherwise.",
            differences,
            "claim",
        ),
        Section("The conditions compared in it", DONORS_ACROSS, conditions, "claim_conditions"),
    ]


def _with_control(caption: str, found: PatchingMap) -> str:
    return f"{caption} · a random token moves at most {found.control():.2g}"


def _grid(table: pd.DataFrame, column: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    return table[column].to_numpy(dtype=np.float64).reshape(shape)
