"""Run the main loop, a list of stages. This module knows their order and what each builds on, and
nothing of what they do.

Stages are skipped, resumed and refused as in :mod:`workbench.pipeline.stages`. A hub model or
question set counts by its name: give a run of its new revision another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, dump_config, load_config
from workbench.errors import WorkbenchError
from workbench.files.hashing import sha256_of
from workbench.files.locks import require_free
from workbench.files.ownership import FIGURES, claim_folder, require_claimable
from workbench.files.processes import is_first_process, launched_processes
from workbench.files.seals import damaged
from workbench.files.writing import sweep_temporary_files, write_atomically, write_json
from workbench.loop.inputs import inputs_of
from workbench.loop.run import Run
from workbench.loop.seeds import tell_trainings, with_seed_stages
from workbench.pipeline.costs import moved_bytes, page, seconds
from workbench.pipeline.memory import peak_memory
from workbench.pipeline.stages import (
    STRICT,
    PlannedStage,
    Reuse,
    Stage,
    Work,
    all_done,
    plan_stages,
)
from workbench.pipeline.stages import run_stages as go_through_stages
from workbench.pipeline.store import RunStore, StageStore
from workbench.report.summary_table import Summary

__all__ = [
    "STAGES",
    "Stage",
    "Work",
    "is_complete",
    "open_current_run",
    "open_run",
    "peak_memory",
    "run_loop",
    "run_stages",
    "stages_of",
    "with_costs",
]

CONFIG, SUMMARY = "config.json", "summary.json"


def _work(module: str, name: str) -> Work:
    """Return the function of a stage, which is imported when the stage is run. So a check for
    finished stages needs no model library.
    """

    def work(context: Run, stage: StageStore) -> dict[str, Any]:
        found: dict[str, Any] = getattr(import_module(f"workbench.loop.{module}"), name)(
            context, stage
        )
        return found

    return work


def answer(context: Run, stage: StageStore) -> dict[str, Any]:
    """Answer and grade the questions.

    Raises:
        WorkbenchError: where the grades leave nothing to tell apart.
    """
    from workbench.loop.answers import answer_questions
    from workbench.loop.checks import check_answers

    facts = answer_questions(context, stage)
    check_answers(context)
    return facts


STAGES = (
    Stage("questions", _work("questions", "choose_questions"), ("questions", "seed"), ()),
    Stage("answer", answer, ("model", "elicit"), ("questions",)),
    Stage("elicit", _work("confidence", "elicit"), ("model", "elicit"), ("answer",)),
    Stage(
        "probe",
        _work("probes", "probe_before"),
        ("probe", "bootstrap_resamples", "seed"),
        ("elicit",),
        alone=True,
    ),
    Stage("teach", _work("teaching", "teach"), ("model", "teach", "seed"), ("probe",)),
    Stage(
        "teach_control", _work("teaching", "teach_control"), ("model", "teach", "seed"), ("probe",)
    ),
    Stage(
        "elicit_tuned",
        _work("confidence", "elicit_tuned"),
        ("model", "elicit", "measure"),
        ("teach",),
    ),
    Stage(
        "elicit_control",
        _work("confidence", "elicit_control"),
        ("model", "elicit"),
        ("teach_control",),
    ),
    Stage(
        "probe_tuned",
        _work("probes", "probe_after"),
        ("probe", "bootstrap_resamples", "seed"),
        ("elicit_tuned",),
        alone=True,
    ),
    Stage("patch", _work("patching", "patch"), ("model", "patch", "seed"), ("teach",)),
    Stage(
        "attribute",
        _work("token_attribution", "attribute"),
        ("model", "attribution", "bootstrap_resamples", "seed"),
        ("patch",),
    ),
    Stage(
        "report",
        _work("report", "report"),
        ("bootstrap_resamples", "seed"),
        ("probe", "elicit_tuned", "elicit_control", "probe_tuned", "patch", "attribute"),
        page,
        alone=True,
    ),
)

ADDED_LATER = frozenset({"attribute"})
"""Stages that runs of an earlier version lack; such a run is whole without them."""


def stages_of(config: RunConfig) -> tuple[Stage, ...]:
    """Return the stages of a run, with those of its further trainings before the report."""
    return with_seed_stages(STAGES, config)


def run_loop(
    config: RunConfig, folder: Path, figures: Path, reuse: Reuse = STRICT
) -> dict[str, Any]:
    """Run or resume the whole loop.

    Args:
        folder: the run's folder: a folder per stage, ``config.json`` and ``summary.json``.
        figures: where ``index.html`` and the figures go.
        reuse: whether results of other settings may be replaced, and those of other code continued.

    Returns:
        The summary, as in ``summary.json``.

    Raises:
        WorkbenchError: before anything is computed, where the format cannot be taught and patched,
            updates are counted, a folder is somebody else's or in use, or the run's folder holds
            results of other settings.
    """
    context = Run(config, RunStore(folder), figures, reuse=reuse)
    require_claimable(figures, FIGURES)
    stages = stages_of(config)
    if not all_done(plan(stages, context), context):
        from workbench.loop.checks import check_run

        check_run(config)
        tell_trainings(config)
    with context.store.hold():
        claim_folder(figures, FIGURES)
        planned = plan(stages, context)
        begin_again(planned, context, folder)
        _require_teachable_model(planned, context)
        go_through_stages(stages, context, inputs_of(config), partial(_grow_page, context))
        summary = with_costs(context)
        write_json(folder / SUMMARY, summary)
    return Summary(summary)


def _require_teachable_model(planned: Sequence[PlannedStage], context: Run) -> None:
    """Load the model before it is asked anything, and refuse one that could not be taught.

    Several processes load it together, because one may be alone when it needs it first.
    """
    names = [each.stage.name for each in planned]
    if launched_processes() > 1 and not all_done(planned, context):
        context.lm  # noqa: B018
    if not all_done(planned[: names.index("teach") + 1], context):
        from workbench.teach.training_forward import require_teachable

        require_teachable(context.lm)


def _grow_page(
    context: Run, planned: Sequence[PlannedStage], finished: PlannedStage | None
) -> None:
    from workbench.loop.growing_page import grow_page

    if is_first_process() and not all_done(planned, context):
        grow_page(context, planned, finished)


def plan(stages: Sequence[Stage], context: Run) -> list[PlannedStage]:
    """Say which stages are there and which will be done; see
    :func:`workbench.pipeline.stages.plan_stages`.
    """
    return plan_stages(stages, context, inputs_of(context.config))


def begin_again(planned: Sequence[PlannedStage], context: Run, folder: Path) -> None:
    """Write the configuration into ``folder``. Where results will change, remove the summary and
    the page of the earlier ones.

    So configuration, summary and page never belong to different runs, whatever happens in between.
    Temporary files that a killed process left next to the figures are removed.
    """
    sweep_temporary_files(context.figures)
    if any(each.stale for each in planned):
        for path in (folder / SUMMARY, page(context)):
            path.unlink(missing_ok=True)
    write_atomically(
        folder / CONFIG, lambda path: path.write_text(dump_config(context.config) + "\n")
    )


def run_stages(stages: Sequence[Stage], context: Run) -> None:
    """Run every stage that has not finished, in order."""
    go_through_stages(stages, context, inputs_of(context.config))


def open_current_run(config: RunConfig, folder: Path, figures: Path) -> Run:
    """Open a finished run, to read its tables and draw its figures again.

    Raises:
        WorkbenchError: naming the first stage that has not finished with this configuration.
    """
    context = Run(config, RunStore(folder), figures, reuse=Reuse(replace=True))
    for planned in plan(stages_of(config), context):
        context.keys[planned.stage.name] = planned.key
        if not planned.stage.done(context):
            raise WorkbenchError(
                f"The run in {folder} has not finished its stage {planned.stage.name!r}; run it "
                "again first."
            )
    return context


def is_complete(folder: Path) -> bool:
    """Return whether a run went through in ``folder``, whatever code and configuration it had."""
    return (folder / SUMMARY).exists() and all(
        (folder / stage.name / "done.json").exists()
        for stage in STAGES
        if stage.name not in ADDED_LATER
    )


def open_run(folder: Path, figures: Path, reuse: Reuse = STRICT) -> Run:
    """Open a complete run as it is, with the configuration in its folder, for analyses that build
    on its results.

    Unlike :func:`open_current_run` it also takes runs of an earlier version of the package, whose
    stages a new run would redo. ``reuse`` is for stages that the analysis adds.

    Raises:
        WorkbenchError: where no run went through in ``folder``, another process works on it, or a
            file of it is damaged.
    """
    if not is_complete(folder):
        raise WorkbenchError(f"No run went through in {folder}; run it first.")
    require_free(folder)
    context = Run(load_config(folder / CONFIG), RunStore(folder), figures, reuse=reuse)
    for stage in stages_of(context.config):
        key = context.store.stage(stage.name, "").facts().get("key", "")
        if not key and stage.name in ADDED_LATER:
            continue
        context.keys[stage.name] = key
        context.stage(stage.name).require_done()
    written = context.stage(STAGES[-1].name).facts().get("config_sha256")
    if written != sha256_of(folder / CONFIG):
        raise damaged(
            f"{folder / CONFIG} is not the configuration its results were made with", "run it again"
        )
    return context


def with_costs(context: Run, report: str = "report") -> dict[str, Any]:
    """Return the summary of the stage ``report``, with time and memory of every stage added."""
    facts = {name: context.stage(name).facts() for name in context.keys}
    spent = seconds(context)
    return {
        **facts[report]["summary"],
        **spent,
        **moved_bytes(context),
        "seconds.total": sum(spent.values()),
        "memory.peak_bytes": max(fact["peak_bytes"] for fact in facts.values()),
    }
