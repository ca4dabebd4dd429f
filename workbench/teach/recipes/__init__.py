"""Hold the recipes, one file each.

How to add one: write ``teach/recipes/<name>.py`` with a
:class:`~workbench.teach.recipes.recipe.Recipe` and put it into ``RECIPES``. Its arms say three
things.

1. What to state: ``targets``, a function ``TargetInputs -> [n] probabilities`` of the training
   questions, and in ``sources`` the names of what it reads from ``TargetInputs.sources`` (rows of
   ``workbench.loop.targets.SOURCES``: "probe", ...; a new measurement is a new row there, with the
   stage that makes it). The shuffled control permutes what the function returns.
2. How to train: ``train``, a function ``TrainingJob -> TrainingResult`` that saves an adapter in
   ``job.folder / "adapter"``. For a loss on the model's next tokens at the confidence position it
   is ``train_on_examples(plan)``, where the plan returns examples and a loss
   (:mod:`workbench.teach.recipes.objectives`, :mod:`workbench.teach.losses`). A method that
   generates while it trains is another such function; it resumes from
   ``job.folder / "checkpoints"`` and returns its log.
3. With which settings: ``teach`` holds changes to the training settings (scope, learning rate,
   epochs, LoRA).

``Recipe.settings`` changes the run around it: the elicitation format, the number of questions.
Nothing else is needed: ``workbench teach <name>`` asks, grades, trains every chosen arm and its
shuffled control, reads what they state on held-out questions and writes the same table, figures and
model cards for all. ``Recipe.pairs`` measures comparisons of two questions as well, and an arm's
``subset`` chooses which training questions it is trained on.
"""

from workbench.errors import WorkbenchError
from workbench.teach.recipes.calibration import CALIBRATION
from workbench.teach.recipes.doubt import DOUBT
from workbench.teach.recipes.joint import JOINT
from workbench.teach.recipes.metacognition import METACOGNITION
from workbench.teach.recipes.probe import ONE_TURN, PROBE, WORKED
from workbench.teach.recipes.recipe import Arm, Recipe, check_needs, train_on_examples
from workbench.teach.target_inputs import TargetInputs
from workbench.teach.training_job import Objective, TrainFn, TrainingJob, TrainingResult

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (PROBE, ONE_TURN, WORKED, METACOGNITION, CALIBRATION, DOUBT, JOINT)
}


def recipe_named(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises:
        WorkbenchError: for an unknown name; it lists the known ones.
    """
    if name not in RECIPES:
        raise WorkbenchError(f"There is no recipe {name!r}; choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]


__all__ = [
    "CALIBRATION",
    "DOUBT",
    "JOINT",
    "METACOGNITION",
    "ONE_TURN",
    "PROBE",
    "RECIPES",
    "WORKED",
    "Arm",
    "Objective",
    "Recipe",
    "TargetInputs",
    "TrainFn",
    "TrainingJob",
    "TrainingResult",
    "check_needs",
    "recipe_named",
    "train_on_examples",
]
