"""Draw where a run's model loses what it knows, and write the verdict in words."""

from __future__ import annotations

import numpy as np

from workbench.experiments.text_bottleneck.ceiling_page import (
    ceiling_lead,
    ceiling_sections,
    ceiling_tables,
)
from workbench.experiments.text_bottleneck.closing import closing_rows
from workbench.experiments.text_bottleneck.geometry_page import geometry_rows, geometry_section
from workbench.experiments.text_bottleneck.intervention_page import (
    intervention_sections,
    intervention_tables,
    map_rows,
)
from workbench.experiments.text_bottleneck.intervention_results import Interventions
from workbench.experiments.text_bottleneck.lens import BEST, LENSES, MEAN
from workbench.experiments.text_bottleneck.read import AT_CONFIDENCE, HAVING_ANSWERED
from workbench.experiments.text_bottleneck.results import (
    LOW_MASS,
    BottleneckResults,
    ConditionResult,
)
from workbench.experiments.text_bottleneck.tables import (
    lens_table,
    maps_table,
    sampled_table,
    steps_table,
)
from workbench.models.embedded_models import title_of
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.plots.waterfall import Panel, WaterfallFigure
from workbench.report import Page, Section
from workbench.report.page import Lead


def page_of(results: BottleneckResults) -> Page:
    """Return the page: the verdict, the waterfall, the curves over layers, and what a fixed map of
    the output or sampling would make of the text.
    """
    caption = f"{results.held_out} held-out questions, {title_of(results.config.model.name)}"
    return Page(
        f"Where does {title_of(results.config.model.name)} lose what it knows?",
        _sections(results, caption),
        results.summary(),
        {"run": results.config.model_dump(mode="json")},
        {
            "steps.csv": steps_table(results),
            "fixed_maps.csv": maps_table(results),
            "sampled.csv": sampled_table(results),
            **({"lenses.csv": lens_table(results)} if results.conditions[0].by_lens else {}),
            **intervention_tables(_changed(results)),
            **ceiling_tables(results.ceilings),
            **({} if results.geometry is None else {"geometry.csv": results.geometry}),
        },
        lead=_lead(results),
        notes=(caption, *warnings_of(results), *_untold(results)),
    )


def warnings_of(results: BottleneckResults) -> list[str]:
    """Return what must be said before anything else: conditions in which the scale is not used."""
    return [
        f"{each.label}: the scale has only {each.mass:.2f} of the probability. The model "
        "does not answer on it, and what its numbers tell is little of what it would say."
        for each in results.conditions
        if each.mass < LOW_MASS
    ]


def _untold(results: BottleneckResults) -> list[str]:
    return [f"Who writes the ceiling is not said: {results.no_ceiling}"] * bool(results.no_ceiling)


def _lead(results: BottleneckResults) -> Lead:
    """Return the tables above the figures, those alone that have a row."""
    tables = [
        ("Verdict", [verdict_row(each) for each in results.conditions]),
        ("What a fixed map of the output would write", _map_rows(results)),
        ("What one direction would write", map_rows(_changed(results))),
        (
            "How much of the gap to the base model's probe teaching closes",
            closing_rows(results.closed),
        ),
        ("How firm the written value is", [_margin_row(each) for each in results.conditions]),
        ("What sampling would say, AUROC2 within domain", _sampled_rows(results)),
        *_geometry_lead(results),
        *ceiling_lead(results.ceilings),
    ]
    return [(title, rows) for title, rows in tables if rows]


def verdict_row(each: ConditionResult) -> dict[str, str]:
    """Return the row of a condition in the table of verdicts."""
    largest = each.waterfall.largest
    return {
        "condition": each.label,
        "verdict": each.verdict.verdict if each.verdict else each.no_verdict,
        "what undoes it": (each.verdict.remedy if each.verdict else "") or "–",
        "most is lost": f"{largest.first} → {largest.second}",
        "AUROC2 within domain": f"{largest.within:.2f}",
        "bits an answer": f"{largest.gain:.3f}",
        "probability of the scale": f"{each.mass:.3f}",
    }


def _map_rows(results: BottleneckResults) -> list[dict[str, str]]:
    return [
        {
            "condition": each.label,
            "written": one.name + (" (best on training questions)" if chosen else ""),
            "AUROC2 within domain": f"{one.within:.2f}",
            "more than the text": f"{one.gain:.2f}",
        }
        for each in results.conditions
        for one in each.maps
        for chosen in (one.name == each.chosen_map,)
    ]


def _margin_row(each: ConditionResult) -> dict[str, str]:
    margin = each.margin
    return {
        "condition": each.label,
        "margin of right answers (nats)": f"{margin.right:.2f}",
        "of wrong answers": f"{margin.wrong:.2f}",
        "questions move it by": f"{margin.moved:.2f}",
        "can flip": f"{margin.can_flip:.2f}",
        "write the commonest value": f"{margin.commonest:.2f}",
    }


def _sampled_rows(results: BottleneckResults) -> list[dict[str, str]]:
    return [
        {"condition": each.label, "temperature": f"{temperature:g}"}
        | {
            f"mean of {one.draws}" if one.draws > 1 else "one draw": f"{one.within:.2f}"
            for one in each.sampled
            if one.temperature == temperature
        }
        for each in results.conditions
        for temperature in dict.fromkeys(one.temperature for one in each.sampled)
    ]


def _sections(results: BottleneckResults, caption: str) -> list[Section]:
    found = [_waterfall(results, caption), _layers(results, caption)]
    if results.conditions[0].by_lens:
        found.append(_lenses(results, caption))
    if results.geometry is not None:
        labels = {each.when: each.label for each in _compared(results)}
        found.append(geometry_section(results.geometry, labels, caption))
    changed = _changed(results)
    found += intervention_sections(changed, caption) if changed else []
    return found + ceiling_sections(results.ceilings, title_of(results.config.model.name))


def _geometry_lead(results: BottleneckResults) -> Lead:
    if results.geometry is None:
        return []
    title = "The probe's direction and the numbers', at the probe's layer"
    layers = {each.when: each.layers[AT_CONFIDENCE] for each in _compared(results)}
    labels = {each.when: each.label for each in _compared(results)}
    return [(title, geometry_rows(results.geometry, labels, layers))]


def _compared(results: BottleneckResults) -> list[ConditionResult]:
    """Return the conditions that the table of directions has."""
    there = set() if results.geometry is None else {*results.geometry["condition"]}
    return [each for each in results.conditions if each.when in there]


def _changed(results: BottleneckResults) -> dict[str, Interventions]:
    """Return the interventions of the conditions that have them, by their names on the page."""
    return {
        each.label: each.interventions
        for each in results.conditions
        if each.interventions is not None
    }


def _lenses(results: BottleneckResults, caption: str) -> Section:
    panels = {
        f"{each.label}: {read}": [
            Curve(f"{lens} lens", f"{lens} lens", each.by_lens[f"{lens}.{kind}"])
            for lens in LENSES
            if f"{lens}.{kind}" in each.by_lens
        ]
        for kind, read in ((MEAN, "mean of the numbers"), (BEST, "all numbers, read at best"))
        for each in results.conditions
        if each.by_lens
    }
    figure = CurvePanels(
        layers=np.arange(len(results.conditions[0].by_lens[f"{LENSES[0]}.{MEAN}"])),
        panels=panels,
        y="AUROC2 within domain",
        title="The scale after every layer",
        caption=caption,
        levels=(0.5,),
        x="decoder layer",
    )
    return Section(
        "In the space that numbers are read from",
        "The distribution over the scale that a lens reads from the confidence position after "
        "each layer: its mean, and the best reading of all its values, fitted on training "
        "questions. Higher in the best reading than in the mean: the numbers hold it, but not as "
        "their level. The Jacobian lens reads the first-order effect of the state on the numbers; "
        "models that are not packed have none.",
        figure.figure(),
        "lenses",
    )


def waterfall_panel(each: ConditionResult) -> Panel:
    """Return the panel of a condition's waterfall."""
    return Panel(
        {step.name: step.within for step in each.waterfall.steps},
        [loss.within for loss in each.waterfall.losses],
        each.waterfall.losses.index(each.waterfall.largest),
    )


def _waterfall(results: BottleneckResults, caption: str) -> Section:
    panels = {each.label: waterfall_panel(each) for each in results.conditions}
    figure = WaterfallFigure(
        panels=panels, title="What is left of what the model knows, step by step", caption=caption
    )
    return Section(
        "Step by step",
        "Each bar is a reading of the same held-out questions. Orange: the step before which most "
        "is lost, with the interval of the paired difference, which holds for all steps together.",
        figure.figure(),
        "waterfall",
    )


def _layers(results: BottleneckResults, caption: str) -> Section:
    shown = (HAVING_ANSWERED, AT_CONFIDENCE)
    panels = {
        each.label: [
            Curve(name, name, each.by_layer[name]) for name in shown if name in each.by_layer
        ]
        for each in results.conditions
    }
    count = len(results.conditions[0].by_layer[AT_CONFIDENCE])
    figure = CurvePanels(
        layers=np.arange(count),
        panels=panels,
        y="AUROC2 within domain",
        title="Probes by layer",
        caption=caption,
        levels=(0.5,),
        x="decoder layer",
    )
    return Section(
        "Where it can be read",
        "Probes at the answer's end and at the confidence position, on held-out questions; the "
        "best layer of a curve is optimistic, and is not the one used above.",
        figure.figure(),
        "layers",
    )
