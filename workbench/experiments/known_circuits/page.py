"""Draw every task's maps, their controls and what the gradient says, and make the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from workbench.api.results import PatchMap
from workbench.arrays import Floats
from workbench.experiments.known_circuits.results import (
    CircuitResults,
    DirectionResults,
    HeadResults,
    TaskResults,
    shift_in,
)
from workbench.experiments.known_circuits.summary import circuit_summary, of_heads
from workbench.experiments.known_circuits.tables import (
    NARROW,
    SAID,
    lead_of,
    record_of,
    tables_of,
)
from workbench.measure import flat_summary
from workbench.models.embedded_models import title_of
from workbench.plots import AttributionScatter, EstimateRow, EstimateRows, ScatterGroup
from workbench.report import Page, Section

CONDITIONS = {
    "donor": "the other run's states",
    "random_vector": "random vector",
    "random_position": "random position",
}


def page_of(results: CircuitResults) -> Page:
    """Return the page: a table of the main numbers, and the figures of every task."""
    config = results.config
    configuration = {
        "parameters": results.parameters.model_dump(mode="json"),
        "run": config.model_dump(mode="json"),
    }
    precision = next(iter(results.tasks.values())).precision
    caption = f"{title_of(config.model.name)}, seed {config.seed}, matrix products in {precision}"
    return Page(
        f"Are known circuits found in {title_of(config.model.name)}?",
        [one for found in results.tasks.values() for one in task_sections(found, caption)],
        flat_summary(circuit_summary(results)),
        configuration,
        tables_of(results),
        lead_of(results),
        notes=[f"{results.parameters.pairs} pairs a task, {caption}"],
        records={"known_circuits.json": record_of(results, configuration)},
        narrow=lead_of(results, NARROW),
    )


def task_sections(found: TaskResults, caption: str) -> list[Section]:
    """Draw both directions with their controls, the gradient beside them, and heads if there are
    any.
    """
    title, name = found.task.title, found.task.name
    sections = []
    for direction, one in found.directions.items():
        said = f"{title}, {SAID[direction]}"
        sections += [
            Section(
                f"{said}: layer by place",
                f"The first column is where the pair differs. Known: {found.task.found}",
                _drawn(one.patched, f"{said}: patched", caption),
                f"{name}_{direction}",
            ),
            Section(
                f"{said}: attribution",
                "The same cells from one backward pass: difference of states times gradient.",
                _drawn(one.estimated, f"{said}: estimated by the gradient", caption),
                f"{name}_{direction}_attribution",
            ),
            Section(
                f"{said}: controls",
                "Mean shift over each third of the layers. A random position is another token with "
                "the other run's state; before the pair differs both runs are alike, so that most "
                "of these can move nothing.",
                controls_figure(found, direction, caption),
                f"{name}_{direction}_controls",
            ),
        ]
    sections.append(
        Section(
            f"{title}: attribution against patching",
            "One point a layer and place, means over pairs.",
            agreement_figure(found, caption),
            f"{name}_agreement",
        )
    )
    if found.heads is not None:
        sections += head_sections(found, found.heads, caption)
    return sections


def head_sections(found: TaskResults, heads: HeadResults, caption: str) -> list[Section]:
    """Draw heads patched at the last token, those chosen, and the gradient's estimates."""
    title, name = found.task.title, found.task.name
    sections = [
        Section(
            f"{title}: single heads at the last token",
            "Each head alone gets the donor's output.",
            _drawn(heads.patched, f"{title}: single heads at the last token, patched", caption),
            f"{name}_heads",
        ),
        Section(
            f"{title}: the heads that move most",
            "Chosen on every other pair, measured on the rest.",
            chosen_figure(title, heads, caption),
            f"{name}_heads_chosen",
        ),
    ]
    for index, place in enumerate(heads.estimated.axes[2].labels):
        where = f"{place} token" if place == "last" else str(place)
        sections.append(
            Section(
                f"{title}: heads at the {where}, attribution",
                "Estimated by the gradient, which sees early tokens too small; the largest "
                "cells of all places and random ones were patched, see verified.csv.",
                _drawn(
                    _at(heads.estimated, index),
                    f"{title}: single heads at the {where}, estimated",
                    caption,
                ),
                f"{name}_heads_attribution_{index}",
            )
        )
    return sections


def controls_figure(found: TaskResults, direction: str, caption: str) -> go.Figure:
    """Draw the shifts of every place and third, the controls beside the effect."""
    one = found.directions[direction]
    rows = [
        EstimateRow(
            CONDITIONS[line["condition"]],
            f"{line['place']}, {line['third']} layers",
            shift_in(line),
        )
        for line in one.places.to_dict("records")
    ]
    return EstimateRows(
        rows=rows,
        axis="shift (0 = unpatched, 1 = the other run)",
        title=f"{found.task.title}, {SAID[direction]}: effect and controls",
        caption=f"{len(found.pairs)} pairs, {caption}",
        floor=_floor(one),
    ).figure()


def agreement_figure(found: TaskResults, caption: str) -> go.Figure:
    """Draw the mean effect over the mean estimate of every cell, both directions."""
    groups = [
        ScatterGroup(
            "residual stream",
            SAID[direction],
            _mean_moves(one.estimated),
            _mean_moves(one.patched),
            one.spearman,
            one.slope,
        )
        for direction, one in found.directions.items()
    ]
    return AttributionScatter(
        groups=groups,
        floor=max(one.patched.noise_floor for one in found.directions.values()),
        title=f"{found.task.title}: attribution against patching",
        caption=f"{len(found.pairs)} pairs, {caption}",
    ).figure()


def chosen_figure(title: str, heads: HeadResults, caption: str) -> go.Figure:
    """Draw the shifts of the chosen heads, on pairs they were not chosen on."""
    rows = [EstimateRow("head", name, one) for name, one in of_heads(heads).items()]
    return EstimateRows(
        rows=rows,
        axis="shift (0 = unpatched, 1 = the donor)",
        title=f"{title}: the heads that move most at the last token",
        caption=f"{heads.chosen_sum.n} pairs, {caption}",
    ).figure()


def _drawn(found: PatchMap, what: str, caption: str) -> go.Figure:
    return replace(found, what=what, read=f"{found.read} · {caption}").figure()


def _at(found: PatchMap, index: int) -> PatchMap:
    """Return a map of layer, head and place at one of its places."""
    (part,) = found.conditions
    one = replace(part, axes=part.axes[:2], patched=part.patched[..., index])
    return replace(found, conditions=(one,))


def _mean_moves(found: PatchMap) -> Floats:
    part = found.conditions[0]
    return np.asarray((part.patched - part.base[:, None, None]).mean(axis=0).ravel())


def _floor(one: DirectionResults) -> float:
    effect = one.patched.conditions[0]
    assert effect.donor is not None
    return one.patched.noise_floor / float(np.abs((effect.donor - effect.base).mean()))
