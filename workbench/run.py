"""The loop as a list of stages. It knows their order and what each builds on, and nothing of what they do.

A stage's key is the fingerprint of the configuration it reads, the keys of the stages it needs, the model's identity and
the package's source; a stage that finished with the same key is skipped, so a killed run goes on where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workbench.config import RunConfig, dump_config
from workbench.errors import WorkbenchError
from workbench.loop.asking import answer_questions, choose_questions, elicit
from workbench.loop.context import Context
from workbench.loop.patching import patch
from workbench.loop.probing import probe_after, probe_before
from workbench.loop.reporting import report, seconds
from workbench.loop.teaching import again, again_shuffled, teach, teach_shuffled
from workbench.store import RunStore, StageStore, code_version, fingerprint, write_atomically, write_json

Work = Callable[[Context, StageStore], dict[str, Any]]


@dataclass(frozen=True)
class Stage:
    """One step of the loop: what it does, the configuration it reads, and the stages it builds on."""

    name: str
    work: Work
    reads: tuple[str, ...]
    needs: tuple[str, ...]


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
    Stage("report", report, ("resamples", "seed"), ("probe", "again", "again_control", "probe_again", "patch")),
)


def run(config: RunConfig, folder: Path, figures: Path) -> dict[str, Any]:
    """Run or resume the whole loop.

    Args:
        folder: the run's folder: a folder a stage, ``config.json`` and ``summary.json``.
        figures: where ``index.html`` and the figures go.

    Returns:
        The summary, as in ``summary.json``.
    """
    context = Context(config, RunStore(folder), figures)
    source = _question_source(config)
    write_atomically(folder / "config.json", lambda path: path.write_text(dump_config(config) + "\n"))
    for stage in STAGES:
        parts = [context.settings(*stage.reads), [context.keys[need] for need in stage.needs], code_version(), source]
        context.keys[stage.name] = fingerprint([stage.name, *parts])
        store = context.stage(stage.name)
        if not store.done:
            store.begin()
            _work(stage, context, store)
    summary = _with_costs(context)
    write_json(folder / "summary.json", summary)
    return summary


def _with_costs(context: Context) -> dict[str, Any]:
    """The report's summary with time and memory of every stage."""
    facts = {name: context.stage(name).facts() for name in context.keys}
    spent = seconds(context)
    return {
        **facts["report"]["summary"],
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


def _question_source(config: RunConfig) -> str:
    """Content of the question file, so that an edited file makes the run new."""
    file = config.questions.file
    if file is None:
        return "builtin"
    try:
        return fingerprint(file.read_bytes().hex())
    except OSError as error:
        raise WorkbenchError(f"Cannot read the question file {file}: {error}") from error
