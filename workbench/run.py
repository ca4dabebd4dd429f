"""The loop as a list of stages. It knows their order and what each builds on, and nothing of what they do.

A stage's key is the fingerprint of the configuration it reads, the keys of the stages it needs, the files the run starts
from (questions, local model, chat template) and the package's source; a stage that finished with the same key is skipped,
so a killed run goes on where it was. A hub model or question set counts by its name: give a run of its new revision
another name.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workbench.config import RunConfig, dump_config, load_config
from workbench.errors import WorkbenchError
from workbench.loop.asking import answer_questions, choose_questions, elicit
from workbench.loop.context import Context, loop_format
from workbench.loop.patching import patch
from workbench.loop.probing import probe_after, probe_before
from workbench.loop.reporting import page, report, seconds
from workbench.loop.teaching import again, again_shuffled, teach, teach_shuffled
from workbench.models.embedded import DEFAULT_SPEC
from workbench.models.fingerprint import fingerprint_files
from workbench.questions.sources import source_content
from workbench.store import RunStore, StageStore, code_version, fingerprint, write_atomically, write_json
from workbench.teach.training import check_counts_epochs

Work = Callable[[Context, StageStore], dict[str, Any]]


@dataclass(frozen=True)
class Stage:
    """One step of the loop: what it does, the configuration it reads, and the stages it builds on.

    ``outside`` names a file it leaves outside its folder; where that is missing, the stage is done again. ``given`` is what else
    decides its result, such as a recipe's arm.
    """

    name: str
    work: Work
    reads: tuple[str, ...]
    needs: tuple[str, ...]
    outside: Callable[[Context], Path] | None = None
    given: Any = None

    def done(self, context: Context) -> bool:
        """Whether the stage finished in this run's folder and what it left outside is still there."""
        return context.stage(self.name).done and (self.outside is None or self.outside(context).exists())


STAGES = (
    Stage("questions", choose_questions, ("questions", "seed"), ()),
    Stage("answer", answer_questions, ("model", "elicit"), ("questions",)),
    Stage("elicit", elicit, ("model", "elicit"), ("answer",)),
    Stage("probe", probe_before, ("probe", "resamples", "seed"), ("elicit",)),
    Stage("teach", teach, ("model", "teach", "seed"), ("probe",)),
    Stage("control", teach_shuffled, ("model", "teach", "seed"), ("probe",)),
    Stage("again", again, ("model", "elicit"), ("teach",)),
    Stage("again_control", again_shuffled, ("model", "elicit"), ("control",)),
    Stage("probe_again", probe_after, ("probe", "resamples", "seed"), ("again",)),
    Stage("patch", patch, ("model", "patch", "seed"), ("teach",)),
    Stage("report", report, ("resamples", "seed"), ("probe", "again", "again_control", "probe_again", "patch"), page),
)


def run(config: RunConfig, folder: Path, figures: Path) -> dict[str, Any]:
    """Run or resume the whole loop.

    Args:
        folder: the run's folder: a folder a stage, ``config.json`` and ``summary.json``.
        figures: where ``index.html`` and the figures go.

    Returns:
        The summary, as in ``summary.json``.

    Errors: WorkbenchError before anything is computed where the format cannot be taught and patched, or updates are counted.
    """
    context = Context(config, RunStore(folder), figures)
    loop_format(config.elicit.format)
    check_counts_epochs(config.teach)
    _inputs(config)
    write_atomically(folder / "config.json", lambda path: path.write_text(dump_config(config) + "\n"))
    go_through(STAGES, context)
    summary = with_costs(context)
    write_json(folder / "summary.json", summary)
    return summary


def go_through(stages: Sequence[Stage], context: Context) -> None:
    """Do every stage that has not finished, in their order."""
    inputs = _inputs(context.config)
    for stage in stages:
        context.keys[stage.name] = _key(stage, context, inputs)
        if not stage.done(context):
            store = context.stage(stage.name)
            store.begin()
            _work(stage, context, store)


def finished(config: RunConfig, folder: Path, figures: Path) -> Context:
    """A finished run, opened to read its tables and draw its figures again.

    Errors: WorkbenchError naming the first stage that has not finished with this configuration.
    """
    context = Context(config, RunStore(folder), figures)
    inputs = _inputs(config)
    for stage in STAGES:
        context.keys[stage.name] = _key(stage, context, inputs)
        if not stage.done(context):
            raise WorkbenchError(f"The run in {folder} has not finished its stage {stage.name!r}; run it again first.")
    return context


def complete(folder: Path) -> bool:
    """Whether a run went through in ``folder``, whatever code and configuration it had."""
    return (folder / "summary.json").exists() and all((folder / stage.name / "done.json").exists() for stage in STAGES)


def opened(folder: Path, figures: Path) -> Context:
    """A complete run as it stands, with the configuration written beside it: for analyses that build on its results.

    Unlike :func:`finished` it also takes runs of an earlier version of the package, whose stages a new run would redo.

    Errors: WorkbenchError where no run went through in ``folder``.
    """
    if not complete(folder):
        raise WorkbenchError(f"No run went through in {folder}; run it first.")
    context = Context(load_config(folder / "config.json"), RunStore(folder), figures)
    for stage in STAGES:
        context.keys[stage.name] = str(json.loads((folder / stage.name / "done.json").read_text())["key"])
    return context


def _key(stage: Stage, context: Context, inputs: list[str]) -> str:
    needs = [context.keys[need] for need in stage.needs]
    more = [] if stage.given is None else [stage.given]
    return fingerprint([stage.name, context.settings(*stage.reads), needs, code_version(), inputs, *more])


def with_costs(context: Context, report: str = "report") -> dict[str, Any]:
    """The summary of the stage ``report`` with time and memory of every stage."""
    facts = {name: context.stage(name).facts() for name in context.keys}
    spent = seconds(context)
    return {
        **facts[report]["summary"],
        **spent,
        "seconds.total": sum(spent.values()),
        "memory.peak_bytes": max(fact["peak_bytes"] for fact in facts.values()),
    }


def _work(stage: Stage, context: Context, store: StageStore) -> None:
    before, started = store.spent(), time.monotonic()
    facts = stage.work(context, store)
    seconds = before + time.monotonic() - started
    store.finish({**facts, "seconds": seconds, "peak_bytes": peak_memory()})


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    info = psutil.Process(os.getpid()).memory_info()
    peak = getattr(info, "peak_wset", None)
    if peak is not None:
        return int(peak)
    import resource

    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def _inputs(config: RunConfig) -> list[str]:
    """Fingerprints of the files the run starts from, so that an edited file makes the run new."""
    template, asked = config.model.chat_template, config.questions
    try:
        questions = asked.graded.read_bytes() if asked.graded else source_content(asked.source, asked.mirror)
        contents = questions, b"" if template is None else template.read_bytes()
    except OSError as error:
        raise WorkbenchError(f"Cannot read a file the run starts from; check its path: {error}") from error
    return [*(fingerprint(content.hex()) for content in contents), _model_files(config.model.name)]


def _model_files(name: str) -> str:
    """Fingerprint of a local model's files; empty for the default, which is one fixed file, and for a hub id."""
    path = Path(name).expanduser()
    if name == DEFAULT_SPEC or not path.exists():
        return ""
    return fingerprint_files([path] if path.is_file() else sorted(item for item in path.iterdir() if item.is_file()))
