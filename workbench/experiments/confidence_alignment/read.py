"""Read the internal and the stated confidence in the same chosen options (Kumar et al. 2024, arXiv
2405.16282).

Every question is a choice. Its answer is the option of the largest P_O
(:mod:`workbench.elicit.baselines.options`), so that P_IC, the letter quoted when the confidence is
asked for, and the grade are all about the same answer. The model's greedy reply is recorded as
well. The confidence is then asked for in nine formats: the eight combinations of scale (1 to 100,
six terms), voice (own, third person) and options (shown or not), and the six terms after letters
with everything else of the full prompt.

This does not show how sure the model is of answers it would give in other words than a letter; see
``mass`` and ``reply_letter``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import RunConfig
from workbench.elicit.answer import answer_batch
from workbench.elicit.answer_table import grade_column
from workbench.elicit.baselines.answered_question import letters_of
from workbench.elicit.baselines.options import letters_offered, read_options
from workbench.elicit.conversation import answer_tokens, check_conversation, confidence_conversation
from workbench.elicit.formats import require_no_thought
from workbench.elicit.prompts import Voice
from workbench.elicit.readout import ConfidenceReading, read_confidence
from workbench.loop.confidence import read
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.questions import Question, chosen_option, grade, grade_of, prompt_text
from workbench.trace.batches import plan_batches

INTERNAL = "internal"
"""The stage that reads the options."""

ScaleName = Literal["hundred", "words", "letters"]


@dataclass(frozen=True)
class Combination:
    """The ingredients of one prompt for the confidence."""

    scale: ScaleName
    voice: Voice
    options: bool

    @property
    def format(self) -> str:
        """The name of its row in the table of formats."""
        return f"{self.scale}-review-{self.voice}{'' if self.options else '-no-options'}"


NUMERIC_OR_WORDS: tuple[ScaleName, ...] = ("hundred", "words")
EIGHT: tuple[Combination, ...] = tuple(
    Combination(scale, voice, options)
    for voice, options, scale in product(get_args(Voice), (True, False), NUMERIC_OR_WORDS)
)
FULL = Combination("letters", "third", True)
"""The full prompt of the publication."""


@dataclass(frozen=True)
class Confidences:
    """The confidences that were read.

    Attributes:
        questions: the choice questions, by row.
        internal: one line per question: row, letter (of the answer), correct, p_ic, p_max, mass,
            reply, reply_letter, reply_correct (missing where it could not be graded).
        options: one line per question and option: row, letter, probability (P_O), right.
        stated: one line per question and format: row, format, stated_text, stated (NaN = not on the
            scale), mode, expected, mass.
        precision: precision of the matrix products.
    """

    questions: tuple[Question, ...]
    internal: pd.DataFrame
    options: pd.DataFrame
    stated: pd.DataFrame
    precision: str

    @property
    def domain(self) -> NDArray[np.str_]:
        """The domain of each question, [rows]."""
        return np.asarray([question.domain for question in self.questions])


def in_format(config: RunConfig, combination: Combination) -> RunConfig:
    """Return the settings with this prompt's format."""
    return config.model_copy(
        update={"elicit": config.elicit.model_copy(update={"format": combination.format})}
    )


def read_internal(
    context: Run, stage: StageStore, *, questions: Sequence[Question]
) -> dict[str, Any]:
    """Read the probability of every option, and the model's reply: the tables ``internal`` and
    ``options``.
    """
    require_no_thought(context.fmt, "Confidence against the probability of an option")
    lm, fmt, limit = context.lm, context.fmt, context.config.elicit.answer_tokens
    prompts = [answer_tokens(lm.tokenizer, fmt, prompt_text(question)) for question in questions]
    offered = [letters_of(question) for question in questions]
    letters = letters_offered(offered)

    def compute(rows: NDArray[np.int64]) -> Part:
        here, own = [prompts[row] for row in rows], [questions[row] for row in rows]
        found = read_options(lm, fmt.answer_prefix, here, [offered[row] for row in rows])
        replies = answer_batch(lm, here, limit)
        table = pd.DataFrame(
            {
                ROW: rows,
                "letter": found.chosen,
                "correct": [
                    grade(letter, question)
                    for letter, question in zip(found.chosen, own, strict=True)
                ],
                "p_ic": found.p_ic,
                "p_max": found.largest,
                "mass": found.mass,
                "reply": replies,
                "reply_letter": [
                    chosen_option(r, q.options) or "" for r, q in zip(replies, own, strict=True)
                ],
                "reply_correct": grade_column(
                    [grade_of(r, q).correct for r, q in zip(replies, own, strict=True)]
                ),
            }
        )
        probability = np.full((len(rows), len(letters)), np.nan)
        probability[:, [letters.index(letter) for letter in found.letters]] = found.probability
        return Part(table, {"probability": probability})

    batches = plan_batches(
        [len(tokens) for tokens in prompts], context.config.model.tokens_per_forward, limit
    )
    part = run_parts(stage, batches, compute, "reading options")
    stage.save_table("internal", part.table)
    stage.save_table("options", _long(part.tensors["probability"], letters, questions))
    return {"precision": lm.precision}


def _long(
    probability: NDArray[np.float64], letters: Sequence[str], questions: Sequence[Question]
) -> pd.DataFrame:
    rows, places = np.nonzero(~np.isnan(probability))
    named = [letters[place] for place in places.tolist()]
    right = [
        grade(letter, questions[row]) for row, letter in zip(rows.tolist(), named, strict=True)
    ]
    return pd.DataFrame(
        {ROW: rows, "letter": named, "probability": probability[rows, places], "right": right}
    )


def read_stated(
    context: Run, stage: StageStore, *, combination: Combination, questions: Sequence[Question]
) -> dict[str, Any]:
    """Read the confidence in each question's most probable letter, asked for by one prompt: the
    table ``confidence``.
    """
    letters = list(context.stage(INTERNAL).table("internal")["letter"])
    context = replace(context, config=in_format(context.config, combination))
    lm, fmt, numbers = context.lm, context.fmt, context.scale_tokens
    check_conversation(lm.tokenizer, fmt, numbers, prompt_text(questions[0]), letters[0])
    conversations = [
        confidence_conversation(lm.tokenizer, fmt, numbers, prompt_text(question), letter)
        for question, letter in zip(questions, letters, strict=True)
    ]

    def reading(rows: NDArray[np.int64]) -> ConfidenceReading:
        return read_confidence(lm, [conversations[row] for row in rows], numbers)

    lengths = [len(conversation.tokens) for conversation in conversations]
    return read(context, stage, np.arange(len(questions)), lengths, reading, f"reading {fmt.name}")
