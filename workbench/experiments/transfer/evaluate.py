"""A pupil taught in one run judges the conversations of another: other questions, another form, another file, other answers.

    taught = teach_recipe(config, recipe, folder, figures).school
    away = asked_run(taught.context.beside(other, other_folder, figures))
    tables = judge_elsewhere(taught, away)

The visitor's adapter (or head) is read where it was taught and put on the model of the other run, on that run's held-out questions.
What the base model states of the same answers is the other run's own stage "elicit". Refused are runs whose model or way of asking
differs, on which an adapter means nothing, and questions that the visitor was taught, which would not be held out for it.

What this does not show: two wordings of one question, and a question whose options stand in its text, count as others.
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

from workbench.errors import WorkbenchError
from workbench.experiments.recipes.run import School
from workbench.experiments.recipes.stages import read_from
from workbench.experiments.recipes.trainings import Pupil
from workbench.loop import STAGES, go_through
from workbench.loop.answers import answer_questions
from workbench.loop.questions import choose_questions, load_questions
from workbench.loop.run import Context
from workbench.measure.inputs import Floats
from workbench.pipeline.stages import Stage, Work
from workbench.pipeline.store import ROW, StageStore
from workbench.questions import Question, asked, question_key


@dataclass(frozen=True)
class Visitor:
    """A pupil and the run it was taught in, whose teaching stage has finished."""

    home: Context
    pupil: Pupil

    @property
    def taught(self) -> StageStore:
        """Where it was taught."""
        return self.home.stage(self.pupil.stage("teach"))

    def stage(self) -> str:
        """Name and folder, in the other run, of the stage in which it judges there."""
        return f"visitors/{self.home.store.folder.name}/{self.pupil.stage('read')}"


def judge(context: Context, stage: StageStore, visitor: Visitor) -> dict[str, Any]:
    """What the visitor states of the answers to this run's held-out questions: the table "confidence".

    Errors: WorkbenchError where the visitor cannot judge this run, see :func:`check_visit`.
    """
    check_visit(visitor.home, context)
    rows = held_out_rows(context)
    return read_from(context, stage, visitor.pupil, visitor.taught, rows, f"{visitor.pupil.name} reads elsewhere")


def held_out_rows(context: Context) -> NDArray[np.int64]:
    """Numbers of the run's held-out questions."""
    table, _ = load_questions(context)
    return np.flatnonzero(table["split"] == "test")


def check_visit(home: Context, away: Context) -> None:
    """Refuse a visit between runs that differ in model or format, or to held-out questions that were for training at home.

    Errors: WorkbenchError naming what differs, or the question.
    """
    for what, setting, own, other in _conditions(home, away):
        if own != other:
            raise WorkbenchError(
                f"An adapter taught in {home.store.folder} cannot judge {away.store.folder}: {what} is {own!r} there and "
                f"{other!r} here; set {setting} alike in both."
            )
    table, questions = load_questions(away)
    held_out = [question for question, side in zip(questions, table["split"], strict=True) if side == "test"]
    known = taught_wordings(home)
    for question in held_out:
        if not known.isdisjoint(wordings(question)):
            raise WorkbenchError(
                f"The question {question.text!r} is held out in {away.store.folder} and for training in {home.store.folder}; "
                "split both runs alike (questions.train_fraction, questions.held_out_domains), or leave it out."
            )


def _conditions(home: Context, away: Context) -> list[tuple[str, str, Any, Any]]:
    """What has to be the same: in words, by its setting, at home and away."""
    one, other = home.config, away.config
    own, there = (str(context.stage("answer").facts()["model_revision"]) for context in (home, away))
    return [
        ("the model", "model.name", one.model.name, other.model.name),
        ("the model's revision", "model.name", own, there),
        ("the chat template", "model.chat_template", one.model.chat_template, other.model.chat_template),
        ("the format", "elicit.format", one.elicit.format, other.elicit.format),
    ]


def untaught(home: Context, questions: Sequence[Question]) -> list[Question]:
    """Those of ``questions`` that are not for training in the run ``home``, in their order."""
    known = taught_wordings(home)
    return [question for question in questions if known.isdisjoint(wordings(question))]


def taught_wordings(home: Context) -> set[str]:
    """The wordings of the run's training questions, those kept back to fit a temperature among them."""
    table, questions = load_questions(home)
    sides = zip(questions, table["side"], strict=True)
    return {wording for question, side in sides if side != "test" for wording in wordings(question)}


def wordings(question: Question) -> set[str]:
    """The question without its options and with them, as far as wordings count as different."""
    return {question_key(question.text), question_key(asked(question))}


def expected_of(context: Context, stage: str, rows: NDArray[np.int64]) -> Floats:
    """Expected confidence [rows] by a stage that read it."""
    table = context.stage(stage).table("confidence").set_index(ROW)
    return table["expected"].loc[rows.tolist()].to_numpy(dtype=np.float64)


def asked_run(
    context: Context,
    questions: Work = choose_questions,
    answer: Work = answer_questions,
    after: Mapping[str, str] = MappingProxyType({}),
) -> Context:
    """The run with its questions chosen, answered, and the base model's confidence read; nothing is taught in it.

    Args:
        questions, answer: what these two stages do, where it is not the loop's own.
        after: by name, the keys of stages of other runs that decide the questions.
    """
    go_through(
        [
            Stage("questions", questions, ("questions", "seed"), (), other_runs=after),
            Stage("answer", answer, ("model", "elicit"), ("questions",)),
            *(stage for stage in STAGES if stage.name == "elicit"),
        ],
        context,
    )
    return context


def judge_elsewhere(school: School, away: Context, arms: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """By name, what each pupil of the ``arms`` (none: all) says of the held-out questions of ``away``: row, expected, and stated if any.

    Errors: WorkbenchError where model or format differ, or a question held out there was for training at home.
    """
    visitors = [Visitor(school.context, pupil) for pupil in school.pupils if not arms or pupil.arm.name in arms]
    stages = [
        Stage(
            visitor.stage(),
            partial(judge, visitor=visitor),
            ("model", "elicit"),
            ("elicit",),
            other_runs={"taught": visitor.taught.key},
        )
        for visitor in visitors
    ]
    go_through(stages, away)
    return {visitor.pupil.name: away.stage(visitor.stage()).table("confidence") for visitor in visitors}
