"""Let a training of one run judge the conversations of another: other questions, another form,
another file, other answers.

    taught = teach_recipe(config, recipe, folder, figures).run
    away = prepare_run(taught.context.sibling(other, other_folder, figures))
    tables = evaluate_on(taught, away)

The adapter (or head) is loaded from the run that trained it, put on the model of the other run, and
used on that run's held-out questions. What the base model states about the same answers is the
other run's stage "elicit". Runs whose model or way of asking differs are refused, because an
adapter means nothing there. So are questions that the adapter was trained on, which would not be
held out for it.

Two wordings of one question, and a question whose options are in its text, count as different
questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.run import RecipeRun
from workbench.experiments.recipes.stages import elicit_trained
from workbench.experiments.recipes.trainings import Training
from workbench.loop import STAGES, run_stages
from workbench.loop.answers import answer_questions
from workbench.loop.questions import choose_questions, held_out_rows, load_questions
from workbench.loop.run import Run
from workbench.pipeline.stages import Stage, Work
from workbench.pipeline.store import ROW, StageStore
from workbench.questions import Question, prompt_text, question_key


@dataclass(frozen=True)
class TransferredAdapter:
    """A training and the run that trained it, whose training stage has finished."""

    home: Run
    training: Training

    @property
    def taught(self) -> StageStore:
        """The stage in which it was trained."""
        return self.home.stage(self.training.stage("teach"))

    def stage(self) -> str:
        """Return name and folder of the stage, in the other run, in which it judges there."""
        return f"transferred/{self.home.store.folder.name}/{self.training.stage('elicit')}"


def evaluate_transferred(
    context: Run, stage: StageStore, transferred: TransferredAdapter
) -> dict[str, Any]:
    """Read what the adapter states about the answers to this run's held-out questions: the table
    "confidence".

    Raises:
        WorkbenchError: where it cannot judge this run, see :func:`check_same_model_and_format`.
    """
    check_same_model_and_format(transferred.home, context)
    rows = held_out_rows(context)
    return elicit_trained(
        context,
        stage,
        transferred.training,
        transferred.taught,
        rows,
        f"reading {transferred.training.name} in transfer",
    )


def check_same_model_and_format(home: Run, away: Run) -> None:
    """Refuse runs that differ in model or format, and held-out questions that were for training in
    the home run.

    Raises:
        WorkbenchError: naming the difference, or the question.
    """
    for what, setting, own, other in _conditions(home, away):
        if own != other:
            raise WorkbenchError(
                f"An adapter taught in {home.store.folder} cannot judge {away.store.folder}: "
                f"{what} is {own!r} there and "
                f"{other!r} here; set {setting} alike in both."
            )
    table, questions = load_questions(away)
    held_out = [
        question for question, side in zip(questions, table["split"], strict=True) if side == "test"
    ]
    known = training_question_keys(home)
    for question in held_out:
        if not known.isdisjoint(question_keys(question)):
            raise WorkbenchError(
                f"The question {question.text!r} is held out in {away.store.folder} and for "
                f"training in {home.store.folder}; "
                "split both runs alike (questions.train_fraction, questions.held_out_domains), or "
                "leave it out."
            )


def _conditions(home: Run, away: Run) -> list[tuple[str, str, Any, Any]]:
    """Return the conditions that must be equal: in words, by setting, at home and away."""
    one, other = home.config, away.config
    own, there = (
        str(context.stage("answer").facts()["model_revision"]) for context in (home, away)
    )
    return [
        ("the model", "model.name", one.model.name, other.model.name),
        ("the model's revision", "model.name", own, there),
        (
            "the chat template",
            "model.chat_template",
            one.model.chat_template,
            other.model.chat_template,
        ),
        ("the format", "elicit.format", one.elicit.format, other.elicit.format),
        ("the template", "elicit.template", one.elicit.template, other.elicit.template),
        ("thinking", "elicit.thinking", one.elicit.thinking, other.elicit.thinking),
    ]


def drop_training_questions(home: Run, questions: Sequence[Question]) -> list[Question]:
    """Return those of ``questions`` that are not for training in the run ``home``, in order."""
    known = training_question_keys(home)
    return [question for question in questions if known.isdisjoint(question_keys(question))]


def training_question_keys(home: Run) -> set[str]:
    """Return the wordings of the run's training questions, those kept back to fit a temperature
    among them.
    """
    table, questions = load_questions(home)
    sides = zip(questions, table["side"], strict=True)
    return {
        wording for question, side in sides if side != "test" for wording in question_keys(question)
    }


def question_keys(question: Question) -> set[str]:
    """Return the keys of the question without its options and with them, as far as wordings count
    as different.
    """
    return {question_key(question.text), question_key(prompt_text(question))}


def expected_of(context: Run, stage: str, rows: NDArray[np.int64]) -> Floats:
    """Return the expected confidence [rows] that a stage read."""
    table = context.stage(stage).table("confidence").set_index(ROW)
    return table["expected"].loc[rows.tolist()].to_numpy(dtype=np.float64)


def prepare_run(
    context: Run,
    questions: Work = choose_questions,
    answer: Work = answer_questions,
    after: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """Prepare a run in which nothing is trained: choose its questions, answer them, and read the
    base model's confidence.

    Args:
        questions, answer: the work of these two stages, if it is not that of the loop.
        after: by name, the keys of stages of other runs that decide the questions.
    """
    run_stages(
        [
            Stage("questions", questions, ("questions", "seed"), (), other_runs=after),
            Stage("answer", answer, ("model", "elicit"), ("questions",)),
            *(stage for stage in STAGES if stage.name == "elicit"),
        ],
        context,
    )
    return context


def evaluate_on(
    recipe_run: RecipeRun, away: Run, arms: Sequence[str] = ()
) -> dict[str, pd.DataFrame]:
    """Return, by name, what each training of the ``arms`` (none: all) says about the held-out
    questions of ``away``: row, expected, and stated if any.

    Raises:
        WorkbenchError: where model or format differ, or a question held out there was for training
            in the home run.
    """
    transferred_adapters = [
        TransferredAdapter(recipe_run.context, training)
        for training in recipe_run.trainings
        if not arms or training.arm.name in arms
    ]
    stages = [
        Stage(
            transferred.stage(),
            partial(evaluate_transferred, transferred=transferred),
            ("model", "elicit"),
            ("elicit",),
            other_runs={"taught": transferred.taught.key},
        )
        for transferred in transferred_adapters
    ]
    run_stages(stages, away)
    return {
        transferred.training.name: away.stage(transferred.stage()).table("confidence")
        for transferred in transferred_adapters
    }
