"""Questions: their form, where they come from (built-in set, JSONL, CSV, parquet), how replies are graded and how a set is
split and sampled. Nothing here touches a model."""

from __future__ import annotations

from workbench.questions.builtin import builtin_questions
from workbench.questions.files import read_questions, write_questions
from workbench.questions.grading import chosen_letter, chosen_number, contains_alias, grade, is_refusal
from workbench.questions.normalise import question_key
from workbench.questions.schema import Kind, Question
from workbench.questions.split import Side, sample_questions, split_questions

__all__ = [
    "Kind",
    "Question",
    "Side",
    "builtin_questions",
    "chosen_letter",
    "chosen_number",
    "contains_alias",
    "grade",
    "is_refusal",
    "question_key",
    "read_questions",
    "sample_questions",
    "split_questions",
    "write_questions",
]
