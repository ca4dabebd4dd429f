"""List the stages of a run's further trainings: the same arm on the same targets, another seed.

The first training, with the run's own seed, has the loop's stages. Each further one is trained,
read on the held-out questions and patched at the questions that the first was patched at. It has
no control on shuffled targets and no probes of its own. With one training a run's stages are those
of :data:`workbench.loop.STAGES`, under the same keys.

Seeds differ in the adapter's start, the order of examples and dropout. Questions, answers, targets
and the split are those of the run's seed, so their luck is not in the spread between trainings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from workbench import progress
from workbench.config import RunConfig
from workbench.loop.run import Run
from workbench.pipeline.stages import Stage
from workbench.pipeline.store import StageStore

TEACH, ELICIT, PATCH = "teach", "elicit", "patch"
"""The kinds of stages of a further training."""


def further_seeds(config: RunConfig) -> range:
    """Return the seeds of all trainings but the first."""
    return range(config.seed + 1, config.seed + config.trainings)


def seed_stage(seed: int, kind: str) -> str:
    """Return name and folder of a stage of the training with this seed."""
    return f"seeds/{seed}/{kind}"


def with_seed_stages(stages: Sequence[Stage], config: RunConfig) -> tuple[Stage, ...]:
    """Put the stages of all further trainings, seed by seed, before the last of ``stages``, which
    reports on them. A run with one training keeps its ``stages`` as they are.
    """
    *before, report = stages
    further = [stage for seed in further_seeds(config) for stage in _stages_of(seed)]
    names = tuple(stage.name for stage in further)
    return (*before, *further, replace(report, needs=(*report.needs, *names)))


def _stages_of(seed: int) -> Iterator[Stage]:
    name, given = partial(seed_stage, seed), {"seed": seed}
    model = ("model", "elicit")
    yield Stage(
        name(TEACH), _work("teach_seed", seed), ("model", "teach", "seed"), ("probe",), given=given
    )
    yield Stage(name(ELICIT), _work("elicit_seed", seed), model, (name(TEACH),), given=given)
    yield Stage(
        name(PATCH),
        _work("patch_seed", seed),
        ("model", "patch", "seed"),
        (name(TEACH), "patch"),
        given=given,
    )


def _work(name: str, seed: int) -> Any:
    """Return the function of a stage, which is imported when the stage is run: a check for finished
    stages needs no model library.
    """

    def work(context: Run, stage: StageStore) -> dict[str, Any]:
        module = import_module("workbench.loop.seed_trainings")
        found: dict[str, Any] = getattr(module, name)(context, stage, seed)
        return found

    return work


def tell_trainings(config: RunConfig) -> None:
    """Tell the person what the further trainings will cost, before anything is done; nothing where
    there are none.
    """
    further = further_seeds(config)
    if not further:
        return
    seeds = f"seed {further[0]}" if len(further) == 1 else f"seeds {further[0]} to {further[-1]}"
    progress.notice(
        f"{config.trainings + 1} adapters will be trained on the same answers: seed {config.seed}, "
        f"its control on shuffled targets, and {seeds}. Each further seed adds the time of the "
        "stages teach and elicit_control, and about half of that of patch."
    )
