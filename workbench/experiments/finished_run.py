"""Open the run of the main loop that an experiment uses, or make it first: whole, or as far as
its probes for experiments that need no teaching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.files.ownership import FIGURES, claim_folder, require_claimable
from workbench.loop import (
    CONFIG,
    begin_again,
    is_complete,
    open_run,
    plan,
    run_loop,
    run_stages,
    stages_of,
)
from workbench.loop.checks import check_probed_run
from workbench.loop.run import Run
from workbench.mechanisms.record import BASE, TAUGHT
from workbench.models import LanguageModel
from workbench.pipeline.stages import Reuse
from workbench.pipeline.store import RunStore

PROBED = ("questions", "answer", "elicit", "probe")
"""The stages of the main loop that need no teaching."""
READ_IN = {
    BASE: ("questions", "answer", "elicit"),
    TAUGHT: ("questions", "answer", "elicit", "teach", "elicit_tuned"),
}
"""The stages that asked a run's model in each condition."""


def model_in_condition(run: Run, condition: str) -> AbstractContextManager[LanguageModel]:
    """Return a context that gives a run's model as it was loaded, or with its adapter."""
    return nullcontext(run.lm) if condition == BASE else run.with_adapter("teach")


def open_or_make_run(
    config: RunConfig | None, folder: Path, figures: Path, reuse: Reuse, *, taught: bool = True
) -> Run:
    """Open the complete run in ``folder`` as it is; where there is none, make it first.

    Args:
        config: None for the settings of the existing run, or else the defaults.
        reuse: ``replace`` makes a run of other settings anew.
        taught: false for an experiment that reads nothing of teaching, for which the stages PROBED
            are enough.

    Raises:
        WorkbenchError: where ``config`` is given and the run was made with other settings.
    """
    if not taught:
        return open_or_make_probed_run(config, folder, figures, reuse)
    if config is not None and is_complete(folder):
        others = _differences(load_config(folder / CONFIG), config)
        if others and not reuse.replace:
            raise WorkbenchError(
                f"{folder} holds a run of other settings ({others[0]}); give none to use it as it "
                "is, another --name to make one, or --replace."
            )
        if others:
            run_loop(config, folder, figures, reuse)
    if not is_complete(folder):
        run_loop(config or RunConfig(), folder, figures, reuse)
    return open_run(folder, figures, reuse)


def open_or_make_probed_run(
    config: RunConfig | None, folder: Path, figures: Path, reuse: Reuse
) -> Run:
    """Open the complete run in ``folder`` as it is; where there is none, run or resume the stages
    PROBED of one. ``workbench run`` under the same name goes on from there.

    Args:
        config: None for the settings of the run that is there, or else the defaults.

    Raises:
        WorkbenchError: where ``config`` is given and the run was made with other settings.
    """
    if is_complete(folder):
        return open_or_make_run(config, folder, figures, reuse)
    if config is None:
        there = (folder / CONFIG).exists()
        config = load_config(folder / CONFIG) if there else RunConfig()
    check_probed_run(config)
    require_claimable(figures, FIGURES)
    run = Run(config, RunStore(folder), figures, reuse=reuse)
    stages = [stage for stage in stages_of(config) if stage.name in PROBED]
    with run.store.hold():
        claim_folder(figures, FIGURES)
        begin_again(plan(stages, run), run, folder)
        run_stages(stages, run)
    return run


def read_probed_run(folder: Path, figures: Path) -> Run:
    """Open the stages PROBED of the run in ``folder`` as they are, whatever code made them, to read
    them beside another run; nothing is done in it.

    Raises:
        WorkbenchError: where one has not finished, or a file of it is damaged.
    """
    run = Run(load_config(folder / CONFIG), RunStore(folder), figures)
    for name in PROBED:
        run.keys[name] = run.store.stage(name, "").facts().get("key", "")
        run.stage(name).require_done()
    return run


def _differences(there: RunConfig, wanted: RunConfig) -> list[str]:
    before, now = (dict(_flat(each.model_dump(mode="json"))) for each in (there, wanted))
    return [f"{key}: {before[key]} there, {now[key]} now" for key in now if before[key] != now[key]]


def _flat(content: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value
