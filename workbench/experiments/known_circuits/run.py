"""Look for three known results in a model: where a name, a fact and a year move its answer.

Every task has a stage for its unpatched behaviour, one for each direction of patching, and one for
its heads where heads are the question; the measures are made from their tables each time. See
:mod:`.tasks` for the tasks, :mod:`.read` for what is patched, :mod:`.results` for the measures and
what they do not show.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.known_circuits.read import (
    BEHAVIOUR,
    DIRECTIONS,
    HEADS,
    read_behaviour,
    read_direction,
    read_heads,
)
from workbench.experiments.known_circuits.results import CircuitResults, measure_task
from workbench.experiments.known_circuits.tasks import TASK_NAMES, TASKS, TaskName
from workbench.experiments.parameters import Parameters
from workbench.loop.run import Run
from workbench.measure import Bootstrap
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.pipeline.store import RunStore


class CircuitParameters(Parameters):
    """Which tasks, on how many pairs, in how many layers."""

    tasks: tuple[TaskName, ...] = Field(TASK_NAMES, min_length=1, description="their names")
    pairs: int = Field(32, ge=4, le=384, description="pairs of prompts of each task")
    layers: int = Field(
        15, ge=2, le=1000, description="layers of the maps by place, spread evenly; heads: all"
    )


def run_known_circuits(
    config: RunConfig,
    folder: Path,
    parameters: CircuitParameters,
    *,
    figures: Path | None = None,
    reuse: Reuse = STRICT,
) -> CircuitResults:
    """Patch every task's pairs and measure; resume what was begun."""
    names: list[str] = list(dict.fromkeys(parameters.tasks))
    run = Run(config, RunStore(folder), figures or folder, reuse=reuse)
    stages = {name: stages_of(name, parameters) for name in names}
    run_stages([stage for parts in stages.values() for stage in parts.values()], run, {})
    draw = Bootstrap(config.bootstrap_resamples, config.seed)
    found = {
        name: measure_task(
            TASKS[name], {part: run.stage(stage.name) for part, stage in parts.items()}, draw
        )
        for name, parts in stages.items()
    }
    return CircuitResults(config, parameters, found)


def stages_of(task: str, parameters: CircuitParameters) -> dict[str, Stage]:
    """Return the stages of one task, by what each is about."""
    pairs, layers = parameters.pairs, parameters.layers
    settings, drawn = ("model", "seed"), {"pairs": pairs}
    stages = {
        BEHAVIOUR: Stage(
            f"{task}/{BEHAVIOUR}",
            partial(read_behaviour, task=task, pairs=pairs),
            settings,
            given=drawn,
        )
    }
    for direction in DIRECTIONS:
        stages[direction] = Stage(
            f"{task}/{direction}",
            partial(read_direction, task=task, pairs=pairs, layers=layers, direction=direction),
            settings,
            given={**drawn, "layers": layers},
        )
    if TASKS[task].heads:
        stages[HEADS] = Stage(
            f"{task}/{HEADS}",
            partial(read_heads, task=task, pairs=pairs),
            (*settings, "bootstrap_resamples"),
            given=drawn,
        )
    return stages
