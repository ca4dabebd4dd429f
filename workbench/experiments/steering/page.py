"""Draw what a push does to the level of confidence and to its discrimination, and make the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.experiments.steering.read import BASE, PROBE
from workbench.experiments.steering.results import (
    SteeringEffect,
    SteeringResults,
    effects_table,
    noise_floors,
)
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.models.embedded_models import title_of
from workbench.plots.steering import SteeringCurves, SteeringLine
from workbench.report import Page, Section


def page_of(results: SteeringResults) -> Page:
    """Return the page: one figure, the summary with its verdict, and one line per push."""
    model = title_of(results.config.model.name)
    caption = (
        f"{results.table['row'].nunique()} held-out questions, {model}, "
        f"matrix products in {results.precision}"
    )
    figure = steering_figure(results.effects, "Steering along the probe's direction", caption)
    section = Section(
        "Level and discrimination under steering",
        "Grey: a random direction of the same length.",
        figure.figure(),
        "steering",
    )
    return Page(
        f"Can {model} be steered into saying what it knows?",
        [section],
        results.summary,
        {
            "parameters": results.parameters.model_dump(mode="json"),
            "run": results.config.model_dump(mode="json"),
        },
        {"steering.csv": effects_table(results.effects)},
        notes=(caption,),
    )


def steering_figure(effects: Sequence[SteeringEffect], title: str, caption: str) -> SteeringCurves:
    """Draw the curves of the probe's and the first random direction, with the unsteered model at
    length 0.
    """
    base = next(effect for effect in effects if effect.direction == BASE)
    shown = [effect for effect in effects if effect.direction in (PROBE, "random 1")]
    lengths = sorted({0.0, *(effect.length for effect in shown)})
    lines = []
    for direction, layer in dict.fromkeys((effect.direction, effect.layer) for effect in shown):
        mine = {e.length: e for e in shown if (e.direction, e.layer) == (direction, layer)} | {
            0.0: base
        }
        along = [mine[length] for length in lengths]
        name = "along the probe" if direction == PROBE else "random direction"
        lines.append(
            SteeringLine(
                name,
                layer,
                _curve([e.level for e in along]),
                _curve([e.expected for e in along]),
                _curve([e.written for e in along]),
            )
        )
    return SteeringCurves(
        lengths=np.asarray(lengths),
        lines=lines,
        floors=noise_floors(effects),
        title=title,
        caption=caption,
    )


def _curve(estimates: Sequence[Estimate]) -> IntervalCurve:
    return IntervalCurve(
        *(np.asarray([getattr(e, name) for e in estimates]) for name in ("value", "low", "high"))
    )
