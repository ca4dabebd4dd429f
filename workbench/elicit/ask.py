"""Ask questions in any format: answer, stated confidence, exact expectation, mass on the scale.

Generation follows the format's layout. Where the confidence comes first it is read first, and the
answer is generated after the scale's most probable text. Otherwise the answer is generated, after
its reasoning or thought if there is any, and the confidence is read in the same conversation or in
another one. The two tables are those of :mod:`workbench.elicit.answer_table` and
:mod:`workbench.elicit.confidence_table`, which the loop fills too.

Costs one pass over each prompt, the generated tokens, and one packed pass over each conversation
with the scale's trie; a reasoned answer costs one more pass over its prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.answer import Limits
from workbench.elicit.answer_table import SECOND_THOUGHT, THOUGHT, Grader, answer_rows
from workbench.elicit.confidence_table import read_conversations
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    check_conversation,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.defaults import LIMITS
from workbench.elicit.format import Format
from workbench.elicit.formats import require_its_thought
from workbench.elicit.lengths import check_questions, question_names
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, BatchRunner, Part, compute_parts
from workbench.settings.defaults import TOKENS_PER_FORWARD


class GivenAnswer(NamedTuple):
    """What a model said to a question, in the order that conversations are made of it.

    Attributes:
        reasoning: the reasoning, or the thought, before the answer.
        second_thought: the thought before the confidence.
    """

    answer: str
    reasoning: str = ""
    second_thought: str = ""


@dataclass(frozen=True, eq=False)
class Replies:
    """A model's answers to questions and its confidence in them, in the questions' order.

    Attributes:
        table: one row per question: row, answer, correct, reasoning or thoughts (where the format
            has them), stated_text, stated, expected, mode, mass.
        conversations: [n] conversations up to the confidence position, with those answers.
        numbers: how the scale's texts continue them.
        distribution: [n, values] probability of each text of the scale.
        states: [n, layers, positions, width] residual stream, None where none was recorded.
    """

    table: pd.DataFrame
    conversations: tuple[Conversation, ...]
    numbers: ScaleTokens
    distribution: NDArray[np.float64]
    states: NDArray[np.float32] | None


def ask_texts(
    lm: LanguageModel,
    questions: Sequence[str],
    fmt: Format,
    *,
    limits: Limits = LIMITS,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
    grade: Grader = lambda row, reply: None,
    names: Sequence[str] | None = None,
    record: Sequence[str] = (),
    run: BatchRunner = compute_parts,
) -> Replies:
    """Answer every question and state a confidence in ``fmt``.

    Args:
        questions: the texts that are asked, options of multiple choice included.
        tokens_per_forward: memory bound, tokens of one forward pass.
        grade: returns, for a question's row and a reply, whether it is right.
        names: what errors call the questions.
        record: the positions whose states are recorded.
        run: computes the batches, see :data:`workbench.pipeline.store.BatchRunner`.

    Raises:
        WorkbenchError: for a format of pairs, for no questions, for questions too long for the
            model or the memory bound, and where the tokenizer cannot tell the scale's texts apart.
    """
    if fmt.layout == "pair":
        raise WorkbenchError(f"The format {fmt.name!r} compares two questions; use ask_pairs.")
    require_its_thought(fmt)
    if not questions:
        raise WorkbenchError("There are no questions to ask; give at least one.")
    known = list(names or question_names(questions))
    numbers, everyone = scale_tokens(lm.tokenizer, fmt), np.arange(len(questions))

    def answer(stated: Sequence[str] | None) -> pd.DataFrame:
        return answer_rows(
            lm,
            fmt,
            questions,
            everyone,
            grade=grade,
            limits=limits,
            tokens_per_forward=tokens_per_forward,
            names=known,
            run=run,
            description="answering",
            stated=stated,
        )

    def read(said: Sequence[GivenAnswer]) -> tuple[tuple[Conversation, ...], Part]:
        check_conversation(lm.tokenizer, fmt, numbers, questions[0], *said[0])
        conversations = tuple(
            confidence_conversation(lm.tokenizer, fmt, numbers, question, *texts)
            for question, texts in zip(questions, said, strict=True)
        )
        part = read_conversations(
            lm,
            conversations,
            numbers,
            names=known,
            tokens_per_forward=tokens_per_forward,
            run=run,
            record=record,
        )
        return conversations, part

    if fmt.layout == "confidence-first":
        check_questions(lm, fmt, questions, known, limits, tokens_per_forward)
        conversations, part = read([GivenAnswer("")] * len(questions))
        best = part.tensors["distribution"].argmax(axis=1)
        answered = answer([fmt.scale.texts[index] for index in best])
    else:
        answered = answer(None)
        conversations, part = read(answers_with_reasoning(answered))
    return Replies(
        table=answered.merge(part.table, on=ROW, validate="one_to_one"),
        conversations=conversations,
        numbers=numbers,
        distribution=part.tensors["distribution"],
        states=part.tensors.get("states"),
    )


def answers_with_reasoning(table: pd.DataFrame) -> list[GivenAnswer]:
    """Return what was said to each row's question in a table of answers; empty where it has no
    reasoning or thought.
    """
    nothing = [""] * len(table)
    before = table.get(THOUGHT, table.get("reasoning", nothing))
    again = table.get(SECOND_THOUGHT, nothing)
    return [GivenAnswer(*said) for said in zip(table["answer"], before, again, strict=True)]
