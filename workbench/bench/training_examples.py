"""Make the examples that training is measured on: confidence conversations of built-in questions,
half of them with a wrong answer.

An answer is the right one, or that of another question of its domain; the target text after it is a
number drawn from 60 to 99 or from 10 to 39. All numbers have two digits, so that a mean over rows
and a mean over tokens are the same loss and trainers that average differently can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.questions import Question, builtin_questions, sample_questions
from workbench.teach.examples import Example, text_examples

FORMAT = "percent"
RIGHT = (60, 100)
WRONG = (10, 40)


def make_examples(lm: LanguageModel, rows: int) -> list[Example]:
    """Make ``rows`` examples, drawn evenly over the domains; they are the same every time.

    Raises:
        WorkbenchError: if the tokenizer writes two-digit numbers in different numbers of tokens, or
            there are too few questions.
    """
    questions = sample_questions(builtin_questions(), rows, 0)
    if len(questions) < rows:
        raise WorkbenchError(
            f"There are {len(questions)} built-in questions; ask for at most as many rows."
        )
    fmt = format_named(FORMAT)
    numbers = scale_tokens(lm.tokenizer, fmt)
    rng = np.random.default_rng(0)
    right = rng.random(rows) < 0.5
    targets = np.where(right, rng.integers(*RIGHT, rows), rng.integers(*WRONG, rows))
    conversations = [
        confidence_conversation(
            lm.tokenizer, fmt, numbers, question.text, question.answers[0] if is_right else wrong
        )
        for question, is_right, wrong in zip(
            questions, right, _wrong_answers(questions), strict=True
        )
    ]
    examples = text_examples(lm.tokenizer, fmt, numbers, conversations, targets.tolist())
    if len({len(example.places) for example in examples}) > 1:
        raise WorkbenchError(
            "This model's tokenizer writes two-digit numbers in different numbers of tokens, so "
            "trainers that average over "
            "tokens and over rows have different losses; measure with another model."
        )
    return examples


def _wrong_answers(questions: Sequence[Question]) -> list[str]:
    """Return, for each question, the answer of the next one of its domain."""
    members: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        members.setdefault(question.domain, []).append(index)
    follower = {
        i: ring[(at + 1) % len(ring)] for ring in members.values() for at, i in enumerate(ring)
    }
    return [questions[follower[index]].answers[0] for index in range(len(questions))]
