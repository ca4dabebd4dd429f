"""Provide questions: their form, their sources (built-in set, files, hub sets), the grading of
replies, the split and sampling of a set, and the variants of an item with and without its options.

Nothing here uses a model; a model as judge is :mod:`workbench.elicit.judge`.
"""

from __future__ import annotations

from workbench.questions.builtin import builtin_questions
from workbench.questions.choice import (
    TEMPLATES,
    ChoiceTemplate,
    open_variant,
    prompt_text,
    right_options,
    shuffled,
    stands_alone,
)
from workbench.questions.distractors import choice_questions
from workbench.questions.files import read_questions, write_questions
from workbench.questions.grading import (
    Grade,
    chosen_letter,
    chosen_number,
    chosen_option,
    contains_alias,
    declines,
    grade,
    grade_of,
    is_refusal,
)
from workbench.questions.hub import HUB_SETS, HubSet, hub_questions, hub_set
from workbench.questions.normalise import question_key
from workbench.questions.schema import Kind, Question
from workbench.questions.sources import Form, in_form, questions_from
from workbench.questions.split import (
    Side,
    check_disjoint,
    sample_questions,
    side_of,
    split_questions,
)

__all__ = [
    "HUB_SETS",
    "TEMPLATES",
    "ChoiceTemplate",
    "Form",
    "Grade",
    "HubSet",
    "Kind",
    "Question",
    "Side",
    "builtin_questions",
    "check_disjoint",
    "choice_questions",
    "chosen_letter",
    "chosen_number",
    "chosen_option",
    "contains_alias",
    "declines",
    "grade",
    "grade_of",
    "hub_questions",
    "hub_set",
    "in_form",
    "is_refusal",
    "open_variant",
    "prompt_text",
    "question_key",
    "questions_from",
    "read_questions",
    "right_options",
    "sample_questions",
    "shuffled",
    "side_of",
    "split_questions",
    "stands_alone",
    "write_questions",
]
