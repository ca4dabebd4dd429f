"""Run one cell, and say whether it is finished: what is different between ``workbench run`` and a
recipe of ``workbench teach``.

Both resume at their last finished stage and are finished when every stage is sealed under the key
of its present settings, code and libraries, and the summary is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.grid.grid_file import LOOP
from workbench.grid.tasks import Task
from workbench.loop import plan, run_loop, stages_of
from workbench.loop.run import Run
from workbench.pipeline.stages import Stage, all_done
from workbench.pipeline.store import RunStore


def run_cell(task: Task) -> None:
    """Run or resume the cell's run.

    Raises:
        WorkbenchError: as :func:`workbench.loop.run_loop`, and as the recipe does.
    """
    if task.cell.recipe == LOOP:
        run_loop(task.config, task.folder, task.figures, task.reuse)
        return
    from workbench.experiments.recipes.run import teach_recipe

    teach_recipe(
        task.cell.resolved(),
        _recipe(task),
        task.folder,
        task.figures,
        arms=task.cell.arms,
        reuse=task.reuse,
    )


def cell_finished(task: Task) -> bool:
    """Return whether the cell's run is finished, by its own seals.

    Raises:
        WorkbenchError: where it holds results of other settings, or a file of it was damaged.
    """
    if not task.summary.exists():
        return False
    run = _opened(task)
    return all_done(plan(_stages(task), run), run)


def stages_done(task: Task) -> tuple[int, int, str]:
    """Return how many stages of the cell's run are finished, of how many, and the name of the next
    one; whether they fit the present settings is not asked.
    """
    store, stages = RunStore(task.folder), _stages(task)
    missing = [one.name for one in stages if not (store.folder / one.name / "done.json").exists()]
    return len(stages) - len(missing), len(stages), missing[0] if missing else ""


def _opened(task: Task) -> Run:
    return Run(task.config, RunStore(task.folder), task.figures, reuse=task.reuse)


def _stages(task: Task) -> Sequence[Stage]:
    if task.cell.recipe == LOOP:
        return stages_of(task.config)
    from workbench.experiments.recipes.checks import check_arms
    from workbench.experiments.recipes.run import recipe_stages
    from workbench.experiments.recipes.trainings import trainings

    recipe = _recipe(task)
    arms = check_arms(recipe, task.cell.arms)
    return recipe_stages(recipe, trainings(task.cell.resolved(), recipe, arms, 1, False))


def _recipe(task: Task) -> Any:
    from workbench.teach.recipes import recipe_named

    return recipe_named(task.cell.recipe)
