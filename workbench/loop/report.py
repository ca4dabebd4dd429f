"""Draw the page of a run, of the stages that have finished: figures, summary table and
configuration.

The stage "report" writes it when all have; :mod:`workbench.loop.growing_page` writes it after each
stage before. Every section names the stages it needs. A page that lacks stages says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.loop.answer_figures import answers_by_domain
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
from workbench.loop.patching_figures import following_figure, patching_figure, question_figure
from workbench.loop.positions import run_positions
from workbench.loop.results import PROBES_OF, LoopResults, bootstrap_of
from workbench.loop.run import Run
from workbench.loop.seed_report import save_seeds, seed_sections, seed_tables
from workbench.loop.seed_results import results_with_seeds
from workbench.loop.stage_lines import stage_steps
from workbench.loop.tables import headline_tables, measures_table, sample_answers
from workbench.loop.verdicts import verdict_tables
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.models.embedded_models import title_of
from workbench.models.fingerprint import sha256_of
from workbench.pipeline.costs import moved_bytes, seconds
from workbench.pipeline.store import StageStore
from workbench.plots import (
    AurocByLayer,
    ConfidenceHistogram,
    ReadoutComparison,
    ReadoutRow,
    Reliability,
)
from workbench.plots.theme import Role
from workbench.report import Page, Section, write_page
from workbench.settings.defaults import BINS


def report(context: Run, stage: StageStore) -> dict[str, Any]:
    """Write the page, and keep the summary and the tables from which the figures are drawn."""
    found = results_with_seeds(context)
    stage.save_table("held_out", found.readouts.table())
    stage.save_table("measures", measures_table(found.measures))
    stage.save_table("patching", found.patching.table())
    save_seeds(stage, found)
    index = write_page(loop_page(context, found), context.figures)
    written = sha256_of(context.store.folder / "config.json")
    return {"summary": found.summary(), "page": str(index), "config_sha256": written}


def loop_page(context: Run, found: LoopResults) -> Page:
    """Return the page of a run: its results with the figures, and the summary with the seconds of
    its stages.
    """
    readouts, measures = found.readouts, found.measures
    return Page(
        f"Does {title_of(context.config.model.name)} know when it is wrong?",
        loop_sections(context, found),
        {**found.summary(), **seconds(context, ("report",)), **moved_bytes(context)},
        context.config.model_dump(mode="json"),
        lead=[
            *verdict_tables(found.verdicts),
            *headline_tables(readouts.stated, measures, len(readouts.correct), _patched(measures)),
            *seed_tables(found),
        ],
        samples=sample_answers(context, readouts),
        # A terminal gets the numbers line by line; the tables are too wide for it.
        narrow=(),
        steps=stage_steps(context, found),
    )


def loop_sections(context: Run, found: LoopResults) -> list[Section]:
    """Return the figures of the stages that have finished, in reading order."""
    drawn = [
        section.draw(context, found)
        for section in SECTIONS
        if {*section.needs} <= {*found.finished}
    ]
    between = (
        seed_sections(found, _held_out(context, found), _on_patched(context, found))
        if found.seeds is not None
        else []
    )
    return [*(section for section in drawn if section is not None), *between]


def caption_of(context: Run, what: str) -> str:
    """Return the caption that says what a figure was measured on: ``what``, by which model, in
    which precision.
    """
    facts = context.stage("answer").facts()
    method = facts.get("quantisation", "none")
    weights = "" if method == "none" else f", weights quantised by {method}"
    model = title_of(context.config.model.name)
    return f"{what}, {model}, matrix products in {facts['precision']}{weights}"


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


def _by_layer(context: Run, found: LoopResults, caption: str) -> Section:
    series: dict[str, IntervalCurve] = {}
    roles: dict[str, Role] = {}
    layers = np.arange(0)

    def add(name: str, part: pd.DataFrame, column: str, role: Role) -> None:
        bounds = (part[f"{column}{end}"].to_numpy() for end in ("", ".low", ".high"))
        series[name], roles[name] = IntervalCurve(*bounds), role

    for condition, stage in PROBES_OF.items():
        if condition not in found.readouts.probe:
            continue
        table = context.stage(stage).table("layers")
        for position in run_positions(context):
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
        name, level = (
            f"stated {condition.name}",
            found.measures.get(Key("auroc2", STATED, condition)),
        )
        if isinstance(level, Estimate) and condition.role is not None:
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


def _patched(measures: Measures) -> int:
    """Return how many held-out questions were patched; none before patching."""
    items = measures.get(Key("items", part="patching"), 0)
    assert isinstance(items, int)
    return items


@dataclass(frozen=True)
class LoopSection:
    """A figure of the page: the stages it needs, and the function that draws it, or nothing where
    there is nothing to draw.
    """

    needs: tuple[str, ...]
    draw: Callable[[Run, LoopResults], Section | None]


def _held_out(context: Run, found: LoopResults) -> str:
    return caption_of(context, f"{len(found.readouts.correct)} held-out questions")


def _on_patched(context: Run, found: LoopResults) -> str:
    return caption_of(context, f"{_patched(found.measures)} held-out questions")


SECTIONS = (
    LoopSection(("elicit",), lambda run, r: bottleneck(r.readouts, r.measures, _held_out(run, r))),
    LoopSection(
        ("elicit",),
        lambda run, r: histogram(r.readouts, _held_out(run, r)) if r.readouts.spoken else None,
    ),
    LoopSection(("elicit",), lambda run, r: reliability(r.readouts, _held_out(run, r))),
    LoopSection(("probe",), lambda run, r: _by_layer(run, r, _held_out(run, r))),
    # What holds over trainings comes first; the shift and its gradient vary between them.
    LoopSection(("patch",), lambda run, r: following_figure(r.patching, _on_patched(run, r))),
    LoopSection(("patch",), lambda run, r: patching_figure(r.patching, _on_patched(run, r))),
    LoopSection(
        ("patch",), lambda run, r: question_figure(run, r.readouts, r.patching, _on_patched(run, r))
    ),
    LoopSection(
        ("answer",),
        lambda run, r: answers_by_domain(run, bootstrap_of(run), caption_of(run, "all answers")),
    ),
)
"""The figures in reading order."""
