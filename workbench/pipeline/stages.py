"""Skip, resume or repeat stages, and say why.

A stage's key is the fingerprint of the configuration it reads, the keys of the stages it needs, the
files the run starts from, the package's source and the versions of the libraries that compute. A
stage that finished with its key is skipped, so a killed run goes on where it was. Results that no
longer fit are of two kinds:

* other settings or other input files: refused with the difference, unless the person says that they
  may replace results;
* other code or libraries: said before anything is done again, or gone on from if the person wants
  that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from workbench import progress
from workbench.errors import WorkbenchError
from workbench.files.processes import is_first_process, take_from_first
from workbench.models.moved_bytes import MOVED
from workbench.pipeline.differences import (
    Origin,
    in_names_of,
    list_some,
    settings_differences,
)
from workbench.pipeline.fingerprint import fingerprint
from workbench.pipeline.libraries import library_versions
from workbench.pipeline.memory import peak_memory, release_memory
from workbench.pipeline.stage_store import StageStore
from workbench.pipeline.store import RunStore, code_version

Work = Callable[[Any, StageStore], dict[str, Any]]
"""The work of a stage: a function of the run it belongs to and the stage's folder; it returns the
facts of the stage.
"""


@dataclass(frozen=True)
class Reuse:
    """The rules for results that no longer fit.

    Attributes:
        replace: results of other settings or input files may be replaced under the same name.
        keep_code_version: results of other code or library versions are kept and continued.
    """

    replace: bool = False
    keep_code_version: bool = False


STRICT = Reuse()


class StagedRun(Protocol):
    """The parts of a run that stages need.

    Attributes:
        store: the run's folder.
        figures: the folder of its page.
        keys: by name, the key of every stage that the run has started.
        reuse: the rules for results that no longer fit.
    """

    store: RunStore
    figures: Path
    keys: dict[str, str]
    reuse: Reuse

    def stage(self, name: str) -> StageStore:
        """Open the folder of a stage that the run has started."""

    def settings(self, *parts: str) -> dict[str, Any]:
        """Return the named parts of the configuration, for fingerprints."""


@dataclass(frozen=True)
class Stage:
    """A step of a run: what it does, the configuration it reads, and the stages it builds on.

    ``work`` is None where :func:`begin_stage`'s caller does it. ``outside`` names a file it writes
    outside its folder; where that is missing, the stage is done again. ``given`` is what else
    decides its result, such as a recipe's arm, and ``other_runs`` holds the keys of stages of other
    runs that it builds on. ``alone``: it makes no forward pass, so of several processes the first
    does it, and the others take its results.
    """

    name: str
    work: Work | None
    reads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    outside: Callable[[Any], Path] | None = None
    given: Any = None
    other_runs: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False

    def done(self, context: StagedRun) -> bool:
        """Return whether the stage finished in this run's folder and its file outside the folder is
        still there.
        """
        return context.stage(self.name).done and (
            self.outside is None or self.outside(context).exists()
        )


@dataclass(frozen=True)
class PlannedStage:
    """The state of a stage's folder, compared with the present settings.

    Attributes:
        key: the key that the stage will have.
        made_from: the contents of the key.
        differences: settings or inputs with which the folder's results were made otherwise, as
            "seed: 0 -> 1".
        outdated: changes of code and libraries since.
        stale: results are there and will be done again.
    """

    stage: Stage
    key: str
    made_from: dict[str, Any]
    differences: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    stale: bool = False


AfterStage = Callable[[Sequence[PlannedStage], PlannedStage | None], None]
"""A function that gets the whole plan and the stage of it that was just run; None before any."""


def plan_stages(
    stages: Sequence[Stage], context: StagedRun, inputs: Mapping[str, str]
) -> list[PlannedStage]:
    """Say of every stage which key it has now and whether results of another key are there. Nothing
    is changed.

    Args:
        inputs: fingerprints of the files the run starts from, by name of the input.

    Raises:
        WorkbenchError: where results of other settings or inputs are there and may not be replaced.
    """
    reuse, now = context.reuse, _origin_now()
    keys = dict(context.keys)
    planned: list[PlannedStage] = []
    for stage in stages:
        store = context.store.stage(stage.name, "")
        kept = {**store.begun(), **store.facts()}
        there = kept.get("made_from", {})
        wanted = _made_from(stage, context, keys, inputs)
        origin = Origin.read(there) or now
        then = wanted if origin.code == now.code else in_names_of(there, wanted)
        same = kept.get("key") == _key(stage, then, origin)
        if same and (origin == now or reuse.keep_code_version):
            found = PlannedStage(stage, str(kept["key"]), {**then, **asdict(origin)})
        else:
            made_from = {**wanted, **asdict(now)}
            found = PlannedStage(
                stage, _key(stage, wanted, now), made_from, settings_differences(there, made_from),
                tuple(origin.changes(now)) if kept else (), bool(kept),
            )  # fmt: skip
        keys[stage.name] = found.key
        planned.append(found)
    _refuse_differences(planned, context)
    return planned


def run_stages(
    stages: Sequence[Stage],
    context: StagedRun,
    inputs: Mapping[str, str],
    after: AfterStage | None = None,
) -> None:
    """Run every stage that has not finished, in order, and keep other processes out of the run's
    folder.

    Args:
        after: called once with no stage before the first is run, and after each that was run.

    Raises:
        WorkbenchError: before anything is done, where the folder is not the run's own, another
            process works in it, or it holds results of other settings.
    """
    with context.store.hold():
        planned = plan_stages(stages, context, inputs)
        _announce(planned, context)
        if after is not None:
            after(planned, None)
        for each in planned:
            context.keys[each.stage.name] = each.key
            if not each.stage.done(context):
                _do_planned(each, context)
                if after is not None:
                    after(planned, each)


def _do_planned(each: PlannedStage, context: StagedRun) -> None:
    store = context.stage(each.stage.name)
    if is_first_process() or not each.stage.alone:
        store.begin(each.made_from)
        with progress.stage(each.stage.name):
            do_stage(each.stage, context, store)
    if each.stage.alone:
        take_from_first(store.folder)


def begin_stage(stage: Stage, context: StagedRun) -> StageStore:
    """Open the folder of a stage whose work the caller does, once the context's folder is held. It
    is ready for that work, unless the stage is done.

    Raises:
        WorkbenchError: where it holds results of other settings.
    """
    (planned,) = plan_stages([stage], context, {})
    _announce([planned], context)
    context.keys[stage.name] = planned.key
    store = context.stage(stage.name)
    if not store.done:
        store.begin(planned.made_from)
    return store


def all_done(planned: Sequence[PlannedStage], context: StagedRun) -> bool:
    """Return whether every stage finished with its key.

    Raises:
        WorkbenchError: where a file of one was damaged.
    """
    return all(context.store.stage(each.stage.name, each.key).done for each in planned)


def do_stage(stage: Stage, context: StagedRun, store: StageStore) -> None:
    """Run one stage and seal it, with the seconds of all attempts, the process's peak memory and,
    where any were, the bytes that this attempt moved between devices.
    """
    before, started, moved = store.spent(), time.monotonic(), MOVED.total
    facts = {} if stage.work is None else stage.work(context, store)
    seconds = before + time.monotonic() - started
    costs = {"seconds": seconds, "peak_bytes": peak_memory(), "moved_bytes": MOVED.total - moved}
    store.finish(
        {**facts, **{name: cost for name, cost in costs.items() if cost or name != "moved_bytes"}}
    )
    release_memory()


def _made_from(
    stage: Stage, context: StagedRun, keys: Mapping[str, str], inputs: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "settings": context.settings(*stage.reads),
        "needs": {**{need: keys[need] for need in stage.needs}, **stage.other_runs},
        "inputs": dict(inputs),
        "given": stage.given,
    }


def _key(stage: Stage, made_from: Mapping[str, Any], origin: Origin) -> str:
    return fingerprint([stage.name, made_from, asdict(origin)])


def _origin_now() -> Origin:
    return Origin(code_version(), library_versions())


def _refuse_differences(planned: Sequence[PlannedStage], context: StagedRun) -> None:
    differences = list(dict.fromkeys(line for each in planned for line in each.differences))
    if not differences or context.reuse.replace:
        return
    stale = [each.stage.name for each in planned if each.stale]
    raise WorkbenchError(
        f"{context.store.folder} holds results of other settings ({list_some(differences, '; ')}). "
        f"Give this run another --name, or say --replace to do {list_some(stale, ', ')} again in "
        "their place."
    )


def _announce(planned: Sequence[PlannedStage], context: StagedRun) -> None:
    """Warn which stages a change of code or libraries makes necessary again, before they run."""
    changes = list(dict.fromkeys(change for each in planned for change in each.outdated))
    if changes:
        stale = [each.stage.name for each in planned if each.stale]
        progress.notice(
            f"Changed since the results in {context.store.folder}: {list_some(changes, ', ')}. "
            f"Done again: {list_some(stale, ', ')}; --keep-code-version goes on from what is there."
        )
