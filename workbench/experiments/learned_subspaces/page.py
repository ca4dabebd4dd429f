"""Draw what swapping found subspaces brings and what taking them out loses, and make the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.experiments.learned_subspaces.results import LayerSubspaces, summary_of
from workbench.measure.interval import Estimate
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.plots.theme import Role
from workbench.report import Page, Section
from workbench.subspaces.figure import swapped_figure
from workbench.subspaces.removal import Losses

TAKEN_OUT = {
    "found": "learned subspace",
    "random": "random directions (range)",
    "random_of_states": "random directions of the states (range)",
}
_ROLES: Mapping[str, Role] = {
    name: "after" if kind == "found" else "control" for kind, name in TAKEN_OUT.items()
}


def make_page(
    layers: Sequence[LayerSubspaces], *, title: str, subject: str, configuration: dict[str, Any]
) -> Page:
    """Return the page: a table of all subspaces, a figure of swaps for each layer and condition,
    and two figures of what is lost for each condition.
    """
    sections = [_swapped(one, subject) for one in layers]
    for condition in dict.fromkeys(one.condition for one in layers):
        mine = [one for one in layers if one.condition == condition]
        sections += [
            _lost(mine, condition, "spread_lost", "share of spread lost", _spread, subject),
            _lost(mine, condition, "auroc2_lost", "AUROC2 within domain lost", _auroc2, subject),
        ]
    return Page(
        title,
        sections,
        summary_of(list(layers)),
        configuration,
        {
            "swaps.csv": pd.concat([one.swaps() for one in layers], ignore_index=True),
            "removals.csv": pd.concat([one.removals() for one in layers], ignore_index=True),
        },
        lead=[("Found subspaces, beside placebos", _rows(layers))],
        notes=(subject,),
        caveats=(
            "A swap shows what a subspace suffices for, not that the model reads it there: where "
            "an unread copy of the variable lies elsewhere, the diagonal of both swaps as well.",
            "A subspace without which nothing is lost may still be read, where another carries "
            "the same.",
        ),
    )


def _swapped(one: LayerSubspaces, subject: str) -> Section:
    figure = swapped_figure({name: each.found for name, each in one.named.items()}).figure()
    return Section(
        f"Swapped after layer {one.layer}, {one.condition}",
        "What another question's coordinates bring: the share of questions that then read on the "
        "other's side of the training median, and the slope on the other's variable. A subspace is "
        f"told from luck by as much as it lies to the right of its placebos. {subject}.",
        figure,
        f"swapped_{one.condition}_{one.layer}",
    )


def _lost(
    layers: Sequence[LayerSubspaces],
    condition: str,
    name: str,
    axis: str,
    of: Callable[[Losses], Estimate],
    subject: str,
) -> Section:
    rows = [
        EstimateRow(TAKEN_OUT[kind], f"layer {one.layer}, {subspace}", of(losses))
        for one in layers
        for subspace, each in one.named.items()
        for kind, losses in each.removal.rows().items()
    ]
    figure = EstimateRows(
        rows=rows, axis=axis, title=f"Taken out, {condition}", caption=subject, roles=_ROLES
    ).figure()
    return Section(
        f"Taken out, {condition}: {axis}",
        "What held-out questions lose when their states keep only the training mean within a "
        "subspace. Random directions are drawn evenly, and with the states' covariance.",
        figure,
        f"{name}_{condition}",
    )


def _spread(losses: Losses) -> Estimate:
    return losses.spread_lost


def _auroc2(losses: Losses) -> Estimate:
    return losses.auroc2_lost


def _rows(layers: Sequence[LayerSubspaces]) -> list[dict[str, str]]:
    rows = []
    for one in layers:
        for name, each in one.named.items():
            measures = each.found.measures
            placebos = [placebo for _, placebo in each.found.placebos]
            lost = each.removal
            rows.append(
                {
                    "model": one.condition,
                    "layer": str(one.layer),
                    "subspace": name,
                    "interchange accuracy": f"{measures.accuracy:.2f}",
                    "placebos, accuracy": _span([p.accuracy for p in placebos]),
                    "donor slope": f"{measures.donor_slope:.2f}",
                    "placebos, slope": _span([p.donor_slope for p in placebos]),
                    "spread lost": f"{lost.found.spread_lost:.2f}",
                    "random, spread": _span(
                        [lost.random.spread_lost, lost.random_of_states.spread_lost]
                    ),
                    "AUROC2 lost": f"{lost.found.auroc2_lost:.3f}",
                    "random, AUROC2": _span(
                        [lost.random.auroc2_lost, lost.random_of_states.auroc2_lost], 3
                    ),
                }
            )
    return rows


def _span(estimates: Sequence[Estimate], digits: int = 2) -> str:
    """Write the smallest and the largest value."""
    values = [each.value for each in estimates]
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"
