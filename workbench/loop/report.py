"""Run the stage that draws: figures, summary table and configuration on one page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.elicit.conversation import POSITIONS
from workbench.loop.conditions import (
    AFTER,
    BEFORE,
    EXPECTED,
    STATED,
    Key,
    Measures,
    Readouts,
    roles_of,
)
from workbench.loop.results import PROBES_OF, LoopResults, PatchingResult, loop_results
from workbench.loop.run import Run
from workbench.loop.tables import headline_tables, measures_table, sample_answers
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.models.fingerprint import sha256_of
from workbench.patch.effects import slope_noise_floor
from workbench.pipeline.costs import seconds
from workbench.pipeline.store import StageStore
from workbench.plots import (
    AurocByLayer,
    ConfidenceHistogram,
    FollowingCurve,
    LayerQuestionHeatmap,
    PatchingCurve,
    ReadoutComparison,
    ReadoutRow,
    Reliability,
)
from workbench.plots.theme import Role
from workbench.report import Page, Section, write_page
from workbench.settings.defaults import BINS

CONTROL_NAMES = {
    "other_tuned": "donor from another question",
    "random_vector": "random vector of equal length",
    "random_position": "random earlier position",
    "reverse": "reverse: base into tuned",
    "other_base": "base donor from another question",
    "own_base": "own state (noise floor)",
}


def report(context: Run, stage: StageStore) -> dict[str, Any]:
    """Write the page, and keep the summary and the tables from which the figures are drawn."""
    found = loop_results(context)
    stage.save_table("held_out", found.readouts.table())
    stage.save_table("measures", measures_table(found.measures))
    stage.save_table("patching", found.patching.table())
    index = write_page(loop_page(context, found), context.figures)
    written = sha256_of(context.store.folder / "config.json")
    return {"summary": found.summary(), "page": str(index), "config_sha256": written}


def loop_page(context: Run, found: LoopResults) -> Page:
    """Return the page of a run: its results with the figures, and the summary with the seconds of
    its stages.
    """
    readouts, measures = found.readouts, found.measures
    return Page(
        f"Does {context.config.model.shown} know when it is wrong?",
        loop_sections(context, found),
        {**found.summary(), **seconds(context, ("report",))},
        context.config.model_dump(mode="json"),
        lead=headline_tables(readouts.stated, measures, len(readouts.correct), _patched(measures)),
        samples=sample_answers(context, readouts),
        # A terminal gets the numbers line by line; the tables are too wide for it.
        narrow=(),
    )


def loop_sections(context: Run, found: LoopResults) -> list[Section]:
    """Return all figures of a run, in reading order."""
    readouts, measures, patching = found.readouts, found.measures, found.patching
    caption = caption_of(context, f"{len(readouts.correct)} held-out questions")
    patched = caption_of(context, f"{_patched(measures)} held-out questions")
    return [
        bottleneck(readouts, measures, caption),
        *([histogram(readouts, caption)] if readouts.spoken else []),
        reliability(readouts, caption),
        _by_layer(context, measures, caption),
        _patching(patching, patched),
        _following(patching, patched),
        _heatmap(readouts, patching, context, patched),
    ]


def caption_of(context: Run, what: str) -> str:
    """Return the caption that says what a figure was measured on: ``what``, by which model, in
    which precision.
    """
    precision = context.stage("answer").facts()["precision"]
    return f"{what}, {context.config.model.shown}, matrix products in {precision}"


def bottleneck(readouts: Readouts, measures: Measures, caption: str) -> Section:
    """Draw AUROC2 of every readout under every condition."""
    rows = []
    for readout, values in readouts.of.items():
        for condition in values:
            pooled, within = (
                measures.get(Key("auroc2", readout, condition, within=within))
                for within in (False, True)
            )
            if isinstance(pooled, Estimate) and isinstance(within, Estimate):
                rows.append(ReadoutRow(readout, condition.name, pooled, within))
    figure = ReadoutComparison(
        rows=rows,
        title="What is known and what is said",
        caption=caption,
        roles=roles_of(readouts.stated),
    ).figure()
    explanation = (
        "How well each readout tells right from wrong answers: the text the model writes, the "
        "expected value of its distribution over 0-100, and a probe on its hidden states. Text far "
        "left of the probe before teaching is the text bottleneck. The within-domain panel removes "
        "what knowing a domain's difficulty alone would give."
    )
    return Section("The bottleneck at a glance", explanation, figure, "bottleneck")


def histogram(readouts: Readouts, caption: str) -> Section:
    """Draw what the text states under every condition."""
    groups = {
        one.name: 100 * values
        for one, values in readouts.stated.items()
        if one not in readouts.silent
    }
    figure = ConfidenceHistogram(
        groups=groups,
        title="What the text states",
        caption=caption,
        roles=roles_of(readouts.stated),
    ).figure()
    explanation = (
        "Stated confidence before and after teaching, and after teaching on shuffled targets."
    )
    return Section("Stated confidence", explanation, figure, "stated_confidence")


def reliability(readouts: Readouts, caption: str) -> Section:
    """Draw text and expected confidence, side by side, against the share of right answers, without
    the shuffled targets.
    """
    panels = {
        readout: {
            one.name: (values, readouts.correct)
            for one, values in readouts.of[readout].items()
            if not one.control and not np.isnan(values).all()
        }
        for readout in (STATED, EXPECTED)
    }
    figure = Reliability(
        panels={readout: groups for readout, groups in panels.items() if groups},
        bins=BINS,
        title="Is stated confidence earned?",
        caption=caption,
        roles=roles_of(readouts.stated),
    ).figure()
    explanation = (
        "Share of right answers at each level of confidence; on the diagonal confidence means what "
        "it says."
    )
    return Section("Reliability", explanation, figure, "reliability")


def _by_layer(context: Run, measures: Measures, caption: str) -> Section:
    series: dict[str, IntervalCurve] = {}
    roles: dict[str, Role] = {}
    layers = np.arange(0)

    def add(name: str, part: pd.DataFrame, column: str, role: Role) -> None:
        bounds = (part[f"{column}{end}"].to_numpy() for end in ("", ".low", ".high"))
        series[name], roles[name] = IntervalCurve(*bounds), role

    for condition, stage in PROBES_OF.items():
        table = context.stage(stage).table("layers")
        for position in POSITIONS:
            part = table[table["position"] == position].sort_values("layer")
            layers = part["layer"].to_numpy()
            at = "confidence position" if position == "confidence" else position.replace("_", " ")
            if position == "confidence" or condition == BEFORE:
                role: Role = "before" if condition == BEFORE else "after"
                add(f"{condition.name}, {at}", part, "auroc2", role)
        if condition == BEFORE:
            part = table[table["position"] == "confidence"].sort_values("layer")
            add("shuffled labels", part, "auroc2_shuffled", "control")
    references = {}
    for condition in (BEFORE, AFTER):
        name, level = f"stated {condition.name}", measures[Key("auroc2", STATED, condition)]
        assert isinstance(level, Estimate)
        assert condition.role is not None
        references[name], roles[name] = level.value, condition.role
    figure = AurocByLayer(
        layers=layers,
        series=series,
        references=references,
        roles=roles,
        title="Where it is known",
        caption=caption,
    ).figure()
    explanation = (
        "A linear probe reads from each layer whether the answer was right; fitted on training "
        "questions, scored on held-out ones. Shuffled labels show what a probe with nothing to "
        "learn reaches (range over permutations)."
    )
    return Section("AUROC2 by layer", explanation, figure, "auroc2_by_layer")


def _patching(patching: PatchingResult, caption: str) -> Section:
    own = patching.sweeps["own_tuned"]
    controls = {
        CONTROL_NAMES[name]: curve.spread(patching.sweeps[name].layers, own.layers)
        for name, curve in patching.shift.items()
        if name in CONTROL_NAMES and name != "own_base"
    }
    figure = PatchingCurve(
        layers=own.layers,
        effect=patching.shift["own_tuned"],
        controls=controls,
        rho=patching.layer_gradient,
        noise_floor=float(np.abs(patching.shift["own_base"].value).max()),
        title="Where the taught confidence is carried",
        caption=caption,
    ).figure()
    explanation = (
        "The tuned model's state, put into the base model at the confidence position after one "
        "layer: 0 = nothing moved, 1 = the stated distribution moved all the way to the tuned "
        "model's. A rising curve alone localises little: compare the linear ramp, the donor from "
        "another question, and the following curves."
    )
    return Section("Patching, with its controls", explanation, figure, "patching")


def _following(patching: PatchingResult, caption: str) -> Section:
    figure = FollowingCurve(
        layers=patching.sweeps["other_tuned"].layers,
        donor_slope=patching.donor_slope,
        base_slope=patching.base_slope,
        half_layer=patching.half_layer,
        noise_floor=slope_noise_floor(patching.sweeps["other_tuned"], patching.noise_floor),
        title="Whose confidence is it?",
        caption=caption,
    ).figure()
    explanation = (
        "With donors from other questions: how much the patched confidence follows the donor's "
        "own, and how much it stays with the question it was put into. Donor slope 1 and base "
        "slope 0: the patched state carries that item's confidence."
    )
    return Section("Following", explanation, figure, "following")


def _heatmap(readouts: Readouts, patching: PatchingResult, context: Run, caption: str) -> Section:
    table = context.stage("patch").table("sweep").drop_duplicates("item").sort_values("item")
    text = readouts.questions.set_index("row")["question"].loc[table["row"]].tolist()
    shift, floor = patching.of_questions()
    figure = LayerQuestionHeatmap(
        layers=patching.sweeps["own_tuned"].layers,
        labels=text,
        shift=shift,
        floor=floor,
        title="Question by question",
        caption=caption,
    ).figure()
    explanation = (
        "The shift of each question; blank where tuned and base model state the same to within one "
        "point of confidence."
    )
    return Section("Layer by question", explanation, figure, "layer_question")


def _patched(measures: Measures) -> int:
    """Return how many held-out questions were patched."""
    items = measures[Key("items", part="patching")]
    assert isinstance(items, int)
    return items
