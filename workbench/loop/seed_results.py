"""Read the further trainings of a run from their stages, beside the first one's results.

Everything is aligned by question with the first training's held-out questions, and by item with its
patched questions. :mod:`workbench.loop.seed_measures` says what is measured and what is not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.loop.conditions import AFTER, EXPECTED, STATED, Condition
from workbench.loop.patching_results import sweeps
from workbench.loop.results import STAGES_OF, LoopResults, bootstrap_of, column_of, loop_results
from workbench.loop.run import Run
from workbench.loop.seed_measures import SeedResults, compare_seeds, shape_of
from workbench.loop.seed_patching import training_curves
from workbench.loop.seeds import ELICIT, PATCH, further_seeds, seed_stage
from workbench.loop.states import distribution_of
from workbench.pipeline.store import ROW


def results_with_seeds(context: Run) -> LoopResults:
    """Measure a run whose stages up to patching have finished, with its further trainings where it
    has any.
    """
    found = loop_results(context)
    if not further_seeds(context.config):
        return found
    seeds = seed_results(context, found)
    return replace(found, measures={**found.measures, **seeds.measures}, seeds=seeds)


def seed_results(context: Run, first: LoopResults) -> SeedResults:
    """Compare the further trainings of a run with the ``first`` one."""
    draw, rows = bootstrap_of(context), first.readouts.questions[ROW].to_numpy()
    further = {Condition(arm="", seed=seed): seed for seed in further_seeds(context.config)}
    stages = {one: seed_stage(seed, ELICIT) for one, seed in further.items()}
    stated, expected = (
        {one: column_of(context, stage, column, rows) for one, stage in stages.items()}
        for column in (STATED, EXPECTED)
    )
    readouts = replace(
        first.readouts,
        stated={**first.readouts.stated, **stated},
        expected={**first.readouts.expected, **expected},
    )
    curves = {AFTER: training_curves(first.patching.sweeps, draw)} | {
        one: training_curves(sweeps(context.stage(seed_stage(seed, PATCH)).table("sweep")), draw)
        for one, seed in further.items()
    }
    shapes = {
        one: shape_of(readouts.expected[one], distributions(context, stage, rows))
        for one, stage in {**STAGES_OF, **stages}.items()
    }
    return compare_seeds({AFTER: context.config.seed, **further}, readouts, curves, shapes, draw)


def distributions(context: Run, stage: str, rows: NDArray[np.int64]) -> Floats:
    """Return the distributions over the scale [rows, values] that ``stage`` read, by row of the
    question table.
    """
    store = context.stage(stage)
    place = {row: at for at, row in enumerate(store.table("confidence")[ROW].tolist())}
    kept = distribution_of(store)
    return kept[[place[row] for row in rows.tolist()]]
