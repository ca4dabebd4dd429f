"""Write the page of a run after every stage, with what is there, and say what the stage found.

A page that lacks stages names them at its head. ``summary.json`` is written only when all are
there. Writing such a page is work of the last stage done before its turn: its seconds are noted in
that stage's folder and counted with it, and so in the run's total.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from workbench import progress
from workbench.loop.report import write_run_page
from workbench.loop.results import loop_results
from workbench.loop.run import Run
from workbench.loop.stage_lines import stage_steps
from workbench.pipeline.costs import finished_stages
from workbench.pipeline.stages import PlannedStage


def grow_page(
    context: Run, planned: Sequence[PlannedStage], finished: PlannedStage | None = None
) -> None:
    """Write the page with the results of the stages that are there, and report in one line what the
    stage that has just ``finished`` found.

    Nothing is written where no stage is there yet, where only the last one is missing, which writes
    the whole page, and where that one finished before.
    """
    began, last = time.monotonic(), planned[-1]
    run = replace(context, keys={each.stage.name: each.key for each in planned})
    if not finished_stages(run):
        return
    found = loop_results(run)
    steps = stage_steps(run, found)
    for step in steps:
        if finished is not None and step.name == finished.stage.name:
            progress.notice(f"{step.name}: {step.text}")
    report = run.stage(last.stage.name)
    if report.done:
        return
    if any(step.seconds is None for step in steps):
        write_run_page(run, found)
    report.begin(last.made_from)
    report.note_spent(report.spent() + time.monotonic() - began)
