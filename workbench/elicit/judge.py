"""Use an instruct model as judge of open answers: does the reply mean the same as an accepted
answer?

The judge reads question, accepted answers and reply in one user turn and is asked yes or no. Its
reply's opening is given; P(yes) is the softmax over the first tokens in which the tokenised "...
Yes" and "... No" differ, from one forward per batch with the vocabulary read at one position only.
Whole strings are tokenised, so spaces that merge with a word are right on any tokenizer. The judge
need not be the model that answered. Batches are planned by length under a bound on tokens.

P(yes) above one half is a grade of "right". Its quality is measured, not assumed: :func:`judged`
reports its agreement with alias matching. That does not show which of the two is right; small
models agree with whatever they are shown. Refusals and empty replies are not put to the judge: they
are wrong by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode
from workbench.models.unembed import unembed
from workbench.questions.agreement import Agreement, agreement
from workbench.questions.grading import grade_of, is_refusal
from workbench.questions.schema import Question
from workbench.trace.batches import map_batches
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts

MOST_ANSWERS = 8


@dataclass(frozen=True)
class JudgePrompt:
    """The words the judge reads: ``question`` has the fields question, answers and reply;
    ``opening`` starts its reply.
    """

    name: str
    system: str
    question: str
    opening: str
    yes: str
    no: str


EQUIVALENCE = JudgePrompt(
    name="equivalence",
    system=(
        "You grade answers. A reply is right if it gives the same answer as one of the accepted "
        "answers."
    ),
    question=(
        "Question: {question}\nAccepted answers: {answers}\nReply: {reply}\n\n"
        "Does the reply give an accepted answer? Say Yes or No."
    ),
    opening="Verdict:",
    yes=" Yes",
    no=" No",
)


@dataclass(frozen=True)
class Judged:
    """The judge's verdicts.

    Attributes:
        p_yes: [replies] probability of yes against no; 0 for refusals and empty replies.
        right: [replies] the grades, P(yes) above one half.
        agreement: with alias matching, which is the first grader, on the replies that it can grade.
        ungraded: how many alias matching cannot grade.
    """

    p_yes: NDArray[np.float64]
    right: NDArray[np.bool_]
    agreement: Agreement
    ungraded: int = 0


def judged(
    lm: LanguageModel,
    questions: Sequence[Question],
    replies: Sequence[str],
    *,
    tokens_per_forward: int,
    seed: int,
    prompt: JudgePrompt = EQUIVALENCE,
) -> Judged:
    """Grade ``replies`` to open ``questions`` by the judge ``lm`` and compare with alias matching.

    Raises:
        WorkbenchError: for questions that are not open or have no answer, and for unequal numbers.
    """
    p_yes = judge_equivalence(
        lm, questions, replies, tokens_per_forward=tokens_per_forward, prompt=prompt
    )
    right = p_yes > 0.5
    by_alias = [
        grade_of(reply, question).correct
        for reply, question in zip(replies, questions, strict=True)
    ]
    graded = np.array([grade is not None for grade in by_alias], dtype=bool)
    if not graded.any():
        raise WorkbenchError(
            "Alias matching can grade none of the replies, so that there is nothing to compare the "
            "judge with."
        )
    alike = agreement([grade for grade in by_alias if grade is not None], right[graded], seed=seed)
    return Judged(p_yes, right, alike, int((~graded).sum()))


def judge_equivalence(
    lm: LanguageModel,
    questions: Sequence[Question],
    replies: Sequence[str],
    *,
    tokens_per_forward: int,
    prompt: JudgePrompt = EQUIVALENCE,
) -> NDArray[np.float64]:
    """Return P(yes) of each reply [replies], as the module's docstring says. This costs one forward
    over all prompts.

    Raises:
        WorkbenchError: for questions that are not open or have no answer, and for unequal numbers.
    """
    if len(questions) != len(replies):
        raise WorkbenchError(
            f"There are {len(questions)} questions and {len(replies)} replies; give one reply each."
        )
    for question in questions:
        if question.kind != "open" or not question.answers:
            raise WorkbenchError(
                f"Question {question.id!r} is not an open question with answers; leave it to "
                "grade()."
            )
    p_yes = np.zeros(len(replies))
    put = [index for index, reply in enumerate(replies) if not is_refusal(reply)]
    pairs = [_choice(lm, questions[index], replies[index], prompt) for index in put]
    if not pairs:
        return p_yes
    lengths = [len(pair.tokens) for pair in pairs]
    p_yes[put] = map_batches(
        lengths,
        tokens_per_forward,
        lambda rows: _read(lm, [pairs[row] for row in rows]),
        description="judging",
    )
    return p_yes


@dataclass(frozen=True)
class _Choice:
    """A prompt's tokens and the two tokens of which one comes next."""

    tokens: tuple[int, ...]
    yes: int
    no: int


def _choice(lm: LanguageModel, question: Question, reply: str, prompt: JudgePrompt) -> _Choice:
    answers = "; ".join(question.answers[:MOST_ANSWERS])
    text = prompt.question.format(question=question.text, answers=answers, reply=reply.strip())
    turns = (Turn("system", prompt.system), Turn("user", text))
    yes, no = (
        encode(lm.tokenizer, turns, prompt.opening + word) for word in (prompt.yes, prompt.no)
    )
    same = next(
        (at for at, pair in enumerate(zip(yes, no, strict=False)) if pair[0] != pair[1]), None
    )
    if same is None:
        raise WorkbenchError(
            f"{prompt.yes!r} and {prompt.no!r} do not differ in a token; choose other words."
        )
    return _Choice(tuple(yes[:same]), yes[same], no[same])


@torch.no_grad()
def _read(lm: LanguageModel, batch: Sequence[_Choice]) -> NDArray[np.float64]:
    prompts = pad_prompts([choice.tokens for choice in batch], lm.tokenizer.pad_token_id, lm.device)
    last = torch.full((prompts.rows, 1), prompts.columns - 1, device=lm.device)
    final = forward(lm, prompts, empty_tail(prompts), last).final[:, 0]
    logits = unembed(lm, final)
    pairs = torch.tensor([[choice.yes, choice.no] for choice in batch], device=logits.device)
    return logits.gather(1, pairs).double().softmax(dim=-1)[:, 0].cpu().numpy()
