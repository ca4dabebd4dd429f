"""Make the runs from which the ablations of calibration tuning are measured: two that train, one
for each form, and those that the trained models judge.

All are in one folder, use one model, and are skipped or resumed stage by stage as in
:mod:`workbench.loop`. An ablation whose input is missing is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from workbench.config import QuestionSettings, Resolved, RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.calibration.measurements import (
    FORMS,
    OTHERS,
    SWAPPED,
    UNANSWERABLE,
    form_lines,
    label_lines,
    other_lines,
    pull_lines,
    swapped_lines,
    unanswerable_lines,
)
from workbench.experiments.calibration.metrics import Measurement
from workbench.experiments.calibration.swapped_answers import swapped_answers, swapped_questions
from workbench.experiments.recipes.run import RecipeRun, run_trainings
from workbench.experiments.recipes.trainings import Training, trainings
from workbench.experiments.transfer.evaluate import evaluate_on, prepare_run
from workbench.experiments.transfer.question_sets import (
    graded_file_questions,
    unanswerable_questions,
)
from workbench.loop.answers import answer_questions
from workbench.loop.results import bootstrap_of
from workbench.loop.run import Run
from workbench.pipeline.stages import STRICT, Reuse, Work
from workbench.pipeline.store import RunStore
from workbench.questions.graded_answers import read_graded
from workbench.teach.embedding import encoder_folder
from workbench.teach.recipes import CALIBRATION, Recipe
from workbench.teach.recipes.calibration import CURVES, LABELS, share_name, with_label_fraction

FREE, EMBEDDINGS = "lora-prompt-free", "embeddings"
OPPOSITE: Mapping[str, Literal["open", "choice"]] = {"open": "choice", "choice": "open"}
"""The form that is trained -> the other one."""


@dataclass(frozen=True)
class AblationPlan:
    """The plan of the ablations.

    Attributes:
        form: form of the questions that everything is trained on.
        percents: shares of the labels, below 100; the arms with all labels are always trained.
        other_answers: JSONL of graded answers by another model.
        unanswerable: a source of questions some of which have no answer.
    """

    form: Literal["open", "choice"] = "open"
    percents: tuple[int, ...] = LABELS
    other_answers: Path | None = None
    unanswerable: str | None = None

    def __post_init__(self) -> None:
        if self.form not in OPPOSITE:
            raise WorkbenchError(
                f"The ablations are taught on {' or '.join(OPPOSITE)} questions, not {self.form!r}."
            )
        if not all(0 < percent < 100 for percent in self.percents) or len(set(self.percents)) < len(
            self.percents
        ):
            raise WorkbenchError(
                "Shares of the labels are whole per cents between 1 and 99, each once."
            )

    def described(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        others = None if self.other_answers is None else str(self.other_answers)
        return {**asdict(self), "percents": list(self.percents), "other_answers": others}


@dataclass(frozen=True)
class CalibrationRuns:
    """The finished runs of the ablations.

    Attributes:
        home: the run everything was trained in.
        other_form: the run trained on the other form.
        judged_runs: by name, runs whose answers the transferred adapters of ``home`` judged.
        left_out: by name, the reason why a run or arm is missing.
    """

    plan: AblationPlan
    home: RecipeRun
    other_form: RecipeRun | None
    judged_runs: Mapping[str, Run]
    left_out: Mapping[str, str]


def ablate(
    resolved: Resolved, plan: AblationPlan, folder: Path, figures: Path, reuse: Reuse = STRICT
) -> CalibrationRuns:
    """Train and judge all that ``plan`` asks for; resume what was begun.

    Args:
        resolved: settings with those of the recipe :data:`CALIBRATION`.
    """
    config = resolved.config
    graded = config.questions.graded_file is not None
    if plan.other_answers is not None:
        read_graded(plan.other_answers)
    own = _asking(config, ask_as="published" if graded else plan.form)
    context = Run(own, RunStore(folder / plan.form), figures / plan.form, reuse=reuse)
    names, left_out = _arms(plan)
    home = run_trainings(
        context,
        _curves(plan),
        _without_shuffled(replace(resolved, config=own), _curves(plan), names),
    )
    judged_runs, other = _of_files(home, plan), None
    left_out |= {
        name: "none were given" for name in (OTHERS, UNANSWERABLE) if name not in judged_runs
    }
    if graded:
        why = "questions.graded_file gives answers that can be neither graded nor asked for anew"
        left_out |= dict.fromkeys((SWAPPED, FORMS), why)
    else:
        swap = partial(swapped_questions, home=context), partial(swapped_answers, home=context)
        judged_runs[SWAPPED] = _judged_run(home, SWAPPED, own, *swap)
        other = _other_form(home, resolved, plan, folder, figures)
    return CalibrationRuns(plan, home, other, judged_runs, left_out)


def _arms(plan: AblationPlan) -> tuple[list[str], dict[str, str]]:
    """Return the arms to train, and why one is left out."""
    names = [
        *CURVES,
        *(share_name(arm, percent) for arm in CURVES for percent in plan.percents),
        FREE,
    ]
    try:
        encoder_folder()
    except WorkbenchError as error:
        return names, {EMBEDDINGS: str(error)}
    return [*names, EMBEDDINGS], {}


def _of_files(home: RecipeRun, plan: AblationPlan) -> dict[str, Run]:
    """Make the runs on questions and answers given as files."""
    found = {}
    own = home.context.config
    if plan.other_answers is not None:
        config = _asking(own, graded_file=plan.other_answers, ask_as="published")
        questions = partial(graded_file_questions, home=home.context)
        found[OTHERS] = _judged_run(home, OTHERS, config, questions)
    if plan.unanswerable is not None:
        config = _asking(own, source=plan.unanswerable, graded_file=None, ask_as="published")
        questions = partial(unanswerable_questions, home=home.context)
        found[UNANSWERABLE] = _judged_run(home, UNANSWERABLE, config, questions)
    return found


def ablation_lines(done: CalibrationRuns) -> list[Measurement]:
    """Return everything that was measured, ablation by ablation."""
    home, judges = done.home.context, trainings_of(done.home)
    draw = bootstrap_of(home)
    by_arm = {training.arm.name: training for training in done.home.trainings}
    lines = label_lines(home, done.home.trainings, draw) + pull_lines(
        home, by_arm[CURVES[0]], by_arm[FREE], draw
    )
    for name, measure in (
        (SWAPPED, swapped_lines),
        (OTHERS, other_lines),
        (UNANSWERABLE, unanswerable_lines),
    ):
        if name in done.judged_runs:
            lines += measure(home, done.judged_runs[name], judges, draw)
    if done.other_form is not None:
        other = done.other_form
        taught: dict[str, tuple[Run, list[Training]]] = {
            done.plan.form: (home, judges),
            OPPOSITE[done.plan.form]: (other.context, trainings_of(other)),
        }
        lines += form_lines(taught, draw)
    return lines


def trainings_of(recipe_run: RecipeRun) -> list[Training]:
    """Return the trainings that judge other runs: those trained with all labels, at the end of a
    curve.
    """
    return [training for training in recipe_run.trainings if training.arm.name in CURVES]


def _other_form(
    home: RecipeRun, resolved: Resolved, plan: AblationPlan, folder: Path, figures: Path
) -> RecipeRun:
    """Make the run trained on the other form. The transferred adapters of each run judge the
    other's answers.
    """
    form = OPPOSITE[plan.form]
    config = _asking(home.context.config, ask_as=form)
    context = home.context.sibling(config, folder / form, figures / form)
    taught = _without_shuffled(replace(resolved, config=config), CALIBRATION, CURVES)
    recipe_run = run_trainings(context, CALIBRATION, taught)
    for there, here in ((home, recipe_run), (recipe_run, home)):
        evaluate_on(there, here.context, CURVES)
    return recipe_run


def _judged_run(
    home: RecipeRun, name: str, config: RunConfig, questions: Work, answer: Work = answer_questions
) -> Run:
    """Make a run next to ``home`` in which nothing is trained. The base model and the transferred
    adapters judge its answers.
    """
    folder, figures = (
        home.context.store.folder.with_name(name),
        home.context.figures.with_name(name),
    )
    context = home.context.sibling(config, folder, figures)
    prepare_run(context, questions, answer, after={"answer at home": home.context.keys["answer"]})
    evaluate_on(home, context, CURVES)
    return context


def _asking(config: RunConfig, **changes: Any) -> RunConfig:
    """Return the same configuration with other settings of the questions."""
    whole = {**config.questions.model_dump(), **changes}
    return config.model_copy(update={"questions": QuestionSettings.model_validate(whole)})


def _curves(plan: AblationPlan) -> Recipe:
    """Return the recipe with an arm for every share that is asked for."""
    own = [arm.name for arm in CALIBRATION.arms]
    more = [
        with_label_fraction(CALIBRATION.arm(arm), percent)
        for arm in CURVES
        for percent in plan.percents
        if share_name(arm, percent) not in own
    ]
    return replace(CALIBRATION, arms=(*CALIBRATION.arms, *more))


def _without_shuffled(resolved: Resolved, recipe: Recipe, names: Sequence[str]) -> list[Training]:
    """Return the trainings of the arms with the run's seed. Controls on shuffled labels belong to
    the recipe, not to the ablations.
    """
    arms = [recipe.arm(name) for name in names]
    return trainings(resolved, recipe, arms, 1, False, controls=False)
