"""Draw the page of a run, of the stages that have finished: figures, summary table and
configuration.

The stage "report" writes it when all have; :mod:`workbench.loop.growing_page` writes it after each
stage before. Every section names the stages it needs. A page that lacks stages says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.loop.answer_figures import answers_by_domain
from workbench.loop.conditions import (
    Key,
    Measures,
)
from workbench.loop.patching_figures import following_figure, patching_figure, question_figure
from workbench.loop.question_explorer import question_explorer
from workbench.loop.readout_figures import bottleneck, by_layer, histogram, reliability
from workbench.loop.record import run_record
from workbench.loop.results import LoopResults, bootstrap_of
from workbench.loop.run import Run
from workbench.loop.seed_report import save_seeds, seed_sections, seed_tables
from workbench.loop.seed_results import results_with_seeds
from workbench.loop.stage_lines import stage_steps
from workbench.loop.story import Chapter, asked, card, causes, caveats, knows, says, taught
from workbench.loop.tables import headline_tables, measures_table, sample_answers
from workbench.models.embedded_models import title_of
from workbench.models.fingerprint import sha256_of
from workbench.pipeline.costs import moved_bytes, seconds
from workbench.pipeline.store import StageStore
from workbench.report import Page, Section, write_page
from workbench.report.run_records import RECORD_FILE
from workbench.report.runs_page import write_runs_page


def report(context: Run, stage: StageStore) -> dict[str, Any]:
    """Write the page, and keep the summary and the tables from which the figures are drawn."""
    found = results_with_seeds(context)
    stage.save_table("held_out", found.readouts.table())
    stage.save_table("measures", measures_table(found.measures))
    stage.save_table("patching", found.patching.table())
    save_seeds(stage, found)
    index = write_run_page(context, found)
    written = sha256_of(context.store.folder / "config.json")
    return {"summary": found.summary(), "page": str(index), "config_sha256": written}


def write_run_page(context: Run, found: LoopResults) -> Path:
    """Write the page of a run, and the list of all runs beside it; return the page's path."""
    index = write_page(loop_page(context, found), context.figures)
    write_runs_page(context.figures.parent)
    return index


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
            *headline_tables(readouts.stated, measures, len(readouts.correct), _patched(measures)),
            *seed_tables(found),
        ],
        samples=sample_answers(context, readouts),
        # A terminal gets the numbers line by line; the tables are too wide for it.
        narrow=(),
        records={RECORD_FILE: run_record(context, found).to_json()},
        steps=stage_steps(context, found),
        card=card(context, found) if "elicit" in found.finished else None,
        caveats=caveats(context, found) if "elicit" in found.finished else (),
        explorer=question_explorer(context, found),
    )


def loop_sections(context: Run, found: LoopResults) -> list[Section]:
    """Return the figures of the stages that have finished, in reading order."""
    drawn = [each.section(context, found) for each in SECTIONS]
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


def _patched(measures: Measures) -> int:
    """Return how many held-out questions were patched; none before patching."""
    items = measures.get(Key("items", part="patching"), 0)
    assert isinstance(items, int)
    return items


@dataclass(frozen=True)
class LoopSection:
    """A figure of the page.

    Attributes:
        needs: the stages of which it is drawn.
        draw: draws it, or returns nothing where there is nothing to draw.
        title: its heading in the story; "" for the figure's own.
        chapter: tells what was found, where the figure carries the story.
        tells: further stages that the chapter needs.
    """

    needs: tuple[str, ...]
    draw: Callable[[Run, LoopResults], Section | None]
    title: str = ""
    chapter: Chapter | None = None
    tells: tuple[str, ...] = ()

    def section(self, context: Run, found: LoopResults) -> Section | None:
        """Return the section with its chapter, as far as the finished stages go."""
        finished = {*found.finished}
        section = self.draw(context, found) if {*self.needs} <= finished else None
        if section is None or self.chapter is None or not {*self.tells} <= finished:
            return section
        return replace(section, title=self.title, finding=self.chapter(context, found))


def _held_out(context: Run, found: LoopResults) -> str:
    return caption_of(context, f"{len(found.readouts.correct)} held-out questions")


def _on_patched(context: Run, found: LoopResults) -> str:
    return caption_of(context, f"{_patched(found.measures)} held-out questions")


def _said(context: Run, found: LoopResults) -> Section:
    """Draw what the text states; where it states nothing that can be read, what it expects."""
    draw = histogram if found.readouts.spoken else reliability
    return draw(found.readouts, _held_out(context, found))


def _earned(context: Run, found: LoopResults) -> Section | None:
    return reliability(found.readouts, _held_out(context, found)) if found.readouts.spoken else None


SECTIONS = (
    LoopSection(
        ("answer",),
        lambda run, r: answers_by_domain(run, bootstrap_of(run), caption_of(run, "all answers")),
        "What was asked",
        asked,
    ),
    LoopSection(("elicit",), _said, "What does it say?", says),
    LoopSection(
        ("probe",),
        lambda run, r: by_layer(run, r, _held_out(run, r)),
        "What does it know, and where?",
        knows,
        ("elicit",),
    ),
    # What holds over trainings comes first; the shift and its gradient vary between them.
    LoopSection(
        ("patch",),
        lambda run, r: following_figure(r.patching, _on_patched(run, r)),
        "Does that cause what it says?",
        causes,
    ),
    LoopSection(
        ("elicit",),
        lambda run, r: bottleneck(r.readouts, r.measures, _held_out(run, r)),
        "What did teaching change?",
        taught,
        ("elicit_tuned",),
    ),
    LoopSection(("elicit",), _earned),
    LoopSection(("patch",), lambda run, r: patching_figure(r.patching, _on_patched(run, r))),
    LoopSection(
        ("patch",), lambda run, r: question_figure(run, r.readouts, r.patching, _on_patched(run, r))
    ),
)
"""The figures in reading order."""
