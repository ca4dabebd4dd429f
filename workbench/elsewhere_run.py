"""Models that a recipe taught in one run judge another run's held-out questions: the library call behind transfer of any kind.

    taught = teach_recipe(config, recipe, folder, figures).school
    away = asked_run(taught.context.beside(other, other_folder, figures))
    tables = judge_elsewhere(taught, away)

``other`` may name other questions, another form, another domain or a file of graded answers; model and format stay. What the base model says
there is the other run's stage "elicit". Stages are skipped and resumed as in :mod:`workbench.run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import pandas as pd

from workbench.loop.asking import answer_questions, choose_questions
from workbench.loop.context import Context
from workbench.loop.elsewhere import Visitor, judge
from workbench.pipeline.stages import Stage, Work
from workbench.recipe_run import School
from workbench.run import STAGES, go_through


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
