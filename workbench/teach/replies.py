"""Define what is sampled when a model is trained by sampling, and how a sampled reply is judged: by
what it states and whether the answer is right.

Either the answer is given and only the reply that states confidence is sampled
(:func:`confidence_replies`), or the model is asked the question itself and samples its answer and,
after the format's words on the next line, the confidence (:func:`whole_replies`).

Grading uses the question's accepted answers, so a right answer in other words counts as wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from workbench.elicit.conversation import answer_tokens
from workbench.elicit.format import Format
from workbench.elicit.formats import require_no_thought
from workbench.elicit.greedy import stop_at_newline
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import stated_tokens
from workbench.errors import WorkbenchError
from workbench.teach.rollout import Opening
from workbench.teach.training_job import TrainingJob


@dataclass(frozen=True)
class Judgement:
    """The judgement of a reply: the stated share of certainty, NaN where the reply has not the form
    asked for, and whether the answer is right, 0 to 1.

    ``correct`` is NaN where the answer could not be graded.
    """

    stated: float
    correct: float


@dataclass(frozen=True, eq=False)
class Replies:
    """What is sampled: prompts as tokens, one per row; the most tokens sampled after each; and the
    judgement of a row's sampled text.

    With an ``opening``, the sampled tokens follow it.
    """

    prompts: list[tuple[int, ...]]
    limit: int
    judge: Callable[[int, str], Judgement]
    opening: Opening | None = None


def confidence_replies(job: TrainingJob) -> Replies:
    """Return the replies that state confidence in the base model's answer. The job's targets say
    whether it is right.
    """
    numbers = job.numbers

    def judge(row: int, text: str) -> Judgement:
        return Judgement(
            parse_confidence(numbers.said + text, numbers.scale), float(job.targets[row])
        )

    prompts = [conversation.tokens for conversation in job.conversations]
    return Replies(prompts, stated_tokens(numbers), judge)


def whole_replies(job: TrainingJob) -> Replies:
    """Return the replies that answer the question and state confidence in the answer, which is
    graded each time.

    Raises:
        WorkbenchError: for a format that does not ask for both in one reply.
    """
    fmt, tokenizer, grade = job.fmt, job.lm.tokenizer, job.grade
    require_no_thought(fmt, "An arm that samples whole replies")
    if fmt.layout != "one-turn" or fmt.reasoning_prefix:
        raise WorkbenchError(
            f"Answer and confidence are sampled as one reply, which the format {fmt.name!r} does "
            "not ask for; set "
            "elicit.format=percent-one-turn."
        )
    if grade is None:
        raise ungraded()

    def judge(row: int, text: str) -> Judgement:
        answer, stated = answer_and_confidence(fmt, text)
        right = grade(row, answer)
        return Judgement(stated, math.nan if right is None else float(right))

    prefix = tokenizer(f"\n{fmt.confidence_prefix}", add_special_tokens=False)["input_ids"]
    ends = torch.nonzero(stop_at_newline(job.lm))[:, 0].tolist()
    opening = Opening(job.answer_limit, frozenset(ends), (*prefix, *job.numbers.shared))
    prompts = [answer_tokens(tokenizer, fmt, question) for question in job.questions]
    return Replies(prompts, stated_tokens(job.numbers), judge, opening)


def ungraded() -> WorkbenchError:
    """Return the error for sampling answers where nothing says which are right."""
    return WorkbenchError(
        "Sampled answers have to be graded, and a file of graded answers does not say which others "
        "would be right; take "
        "questions.graded_file out and give questions with their accepted answers as "
        "questions.source."
    )


def answer_and_confidence(fmt: Format, text: str) -> tuple[str, float]:
    """Return the answer of a whole reply, its first line, and the share of certainty its next line
    states.

    NaN where there is no answer or the next line states no confidence on the scale.
    """
    first, _, rest = text.partition("\n")
    answer, line = first.strip(), rest.lstrip()
    if not answer or not line.startswith(fmt.confidence_prefix):
        return answer, math.nan
    return answer, parse_confidence(line.removeprefix(fmt.confidence_prefix), fmt.scale)
