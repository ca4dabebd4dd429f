"""Train the main loop's arm in several ways, seeds and precisions on questions that the default run
does not ask, and patch every training.

Everything from the first answer on is computed in a training's own precision, as a machine of that
kind would; where the processor lacks bfloat16 units they are emulated
(:mod:`workbench.models.bfloat16_products`). The answers, states and targets of one precision are
shared by all its trainings, which differ in the seed of their initial weights, their order and
their dropout, and in their settings. The questions patched, the pairing of donors and the layers of
controls are the same for all.

Precisions have a folder of their own, so two processes can share the work: give each one of them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from workbench.config import RunConfig, dump_config
from workbench.errors import WorkbenchError
from workbench.experiments.parameters import Parameters
from workbench.experiments.recipes.run import BASE
from workbench.experiments.robustness.results import Cell, RobustnessResults, measure_cell
from workbench.experiments.robustness.trainings import Training, trainings_of
from workbench.experiments.robustness.variants import VariantName
from workbench.experiments.robustness.windows import read_windows
from workbench.files.writing import write_atomically
from workbench.loop import CONFIG, STAGES
from workbench.loop.checks import check_run
from workbench.loop.confidence import read_adapter
from workbench.loop.inputs import inputs_of
from workbench.loop.patched_items import choose_items
from workbench.loop.patching import sweep_of_adapter
from workbench.loop.questions import held_out_rows, load_questions
from workbench.loop.run import Run
from workbench.loop.targets import main_arm
from workbench.loop.teaching import teach_arm
from workbench.measure import Bootstrap
from workbench.patch.controls import CONDITIONS, Condition
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.pipeline.store import RunStore, StageStore, run_parts

PrecisionName = Literal["float32", "bfloat16"]
SWEPT = (
    *(one for one in CONDITIONS if one.name in ("own_tuned", "other_tuned")),
    Condition("reverse", "own_base", into_tuned=True, all_layers=False),
)
"""The conditions patched; of the reverse only the layers of the controls."""


class RobustnessParameters(Parameters):
    """Which ways of teaching, precisions and seeds."""

    variants: tuple[VariantName, ...] = Field(
        ("all-layers", "published", "upper-half", "low-ratio"),
        min_length=1,
        description="ways of teaching",
    )
    precisions: tuple[PrecisionName, ...] = Field(
        ("float32", "bfloat16"), min_length=1, description="matrix products"
    )
    seeds: int = Field(5, ge=1, le=1000, description="trainings of each, from the run's seed on")
    windows: tuple[VariantName, ...] = Field(
        ("all-layers",), description="variants read with the adapter on in some layers only"
    )
    window_layers: int = Field(15, ge=2, le=1000, description="layers of those, evenly spread")
    window_questions: int = Field(32, ge=3, le=10**6, description="patched questions read there")


def run_robustness(
    config: RunConfig,
    folder: Path,
    parameters: RobustnessParameters,
    *,
    figures: Path | None = None,
    reuse: Reuse = STRICT,
) -> RobustnessResults:
    """Train and patch everything; resume what was begun.

    Raises:
        WorkbenchError: before any work, where a run of these settings could not finish.
    """
    if config.teach.adapter_scope != "reply":
        raise WorkbenchError(
            "The variants change the run's own adapter, which acts on the reply; leave "
            "teach.adapter_scope as it is."
        )
    check_run(config)
    trainings = trainings_of(config, parameters.variants, parameters.seeds)
    cells: list[Cell] = []
    draw = Bootstrap(config.bootstrap_resamples, config.seed)
    for precision in dict.fromkeys(parameters.precisions):
        run = run_in(config, folder, figures or folder, precision, reuse)
        stages = [stage for stage in STAGES if stage.name in BASE]
        stages += [stage for training in trainings for stage in stages_of(training, parameters)]
        with run.store.hold():
            write_config(run)
            run_stages(stages, run, inputs_of(run.config))
        cells += [
            measure_cell(run, training, precision, parameters.windows, draw)
            for training in trainings
        ]
    return RobustnessResults(config, parameters.model_dump(mode="json"), tuple(cells))


def write_config(run: Run) -> None:
    """Write the run's settings into its folder."""
    write_atomically(
        run.store.folder / CONFIG, lambda path: path.write_text(dump_config(run.config) + "\n")
    )


def run_in(
    config: RunConfig, folder: Path, figures: Path, precision: PrecisionName, reuse: Reuse
) -> Run:
    """Return the run that holds everything of one precision."""
    model = config.model.model_copy(update={"precision": precision})
    return Run(
        config.model_copy(update={"model": model}),
        RunStore(folder / precision),
        figures,
        reuse=reuse,
    )


def stages_of(training: Training, parameters: RobustnessParameters) -> list[Stage]:
    """Return the stages of one training: teach, read on held-out questions, patch, and read in
    windows of layers where that is asked for.
    """
    given = {"seed": training.seed, "teach": training.teach.model_dump(mode="json")}
    teach, elicit, patch = (training.stage(kind) for kind in ("teach", "elicit", "patch"))
    return [
        Stage(
            teach, partial(_teach, training=training), ("model", "seed"), ("probe",), given=given
        ),
        Stage(elicit, partial(_elicit, training=training), ("model", "elicit"), (teach,)),
        Stage(patch, partial(_patch, training=training), ("model", "patch", "seed"), (teach,)),
        *([_windows_stage(training, parameters)] if training.windows(parameters.windows) else []),
    ]


def _windows_stage(training: Training, parameters: RobustnessParameters) -> Stage:
    layers, questions = parameters.window_layers, parameters.window_questions
    return Stage(
        training.stage("windows"),
        partial(_read_windows, training=training, layers=layers, questions=questions),
        ("model", "patch", "seed"),
        (training.stage("teach"),),
        given={"layers": layers, "questions": questions},
    )


def _teach(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    run = context.with_teach(training.teach)
    return teach_arm(run, stage, main_arm(run), seed=training.seed, shuffled=False)


def _elicit(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    run = context.with_teach(training.teach)
    taught = run.stage(training.stage("teach"))
    return read_adapter(run, stage, taught, held_out_rows(run), f"reading {training.variant}")


def _patch(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    run = context.with_teach(training.teach)
    items = patched_rows(run)
    with sweep_of_adapter(run, run.stage(training.stage("teach")), items) as sweep:
        table = sweep.table(items, partial(run_parts, stage), SWEPT)
    stage.save_table("sweep", table)
    return {"items": len(items)}


def _read_windows(
    context: Run, stage: StageStore, training: Training, layers: int, questions: int
) -> dict[str, Any]:
    run = context.with_teach(training.teach)
    rows = np.sort(
        np.random.default_rng(run.config.seed).permutation(patched_rows(run))[:questions]
    )
    return read_windows(run, stage, taught=training.stage("teach"), rows=rows, layers=layers)


def patched_rows(context: Run) -> NDArray[np.int64]:
    """Return the rows of the held-out questions that are patched."""
    questions, _ = load_questions(context)
    return choose_items(questions, context.config.patch.n_questions, context.config.seed)
