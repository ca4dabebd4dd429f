"""Questions asked in any format, one table for all: answer, stated confidence, exact expectation,
mass on the scale.

The order of generation follows the layout: where the confidence comes first it is read first, and
the answer is generated behind the likeliest text of the scale; otherwise the answer is generated,
behind its reasoning if there is any, and the confidence read in the conversation that holds it or
stands apart from it. Confidence is a share of certainty: higher is surer of being right.

Costs one pass over each prompt, the tokens generated, and one packed pass over each conversation
with the scale's trie; a reasoned answer one more pass over its prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench import progress
from workbench.elicit.answer import Limits, answer_batch, reason_batch
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    answer_tokens,
    check_conversation,
    confidence_conversation,
    reasoning_tokens,
    scale_tokens,
)
from workbench.elicit.format import Format
from workbench.elicit.lengths import check_lengths, check_questions, question_names
from workbench.elicit.readout import (
    expected_confidence,
    mass_on_scale,
    read_confidence,
    stated_tokens,
)
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, Part, StageStore, merge_parts, run_parts
from workbench.trace.batches import plan_batches

TOKENS_PER_FORWARD = 2048
LIMITS = Limits()


@dataclass(frozen=True)
class Readings:
    """What many conversations state.

    Attributes:
        distribution: [rows, values] probability of each text of the scale.
        stated_text: the confidence as it is stated.
        stated: [rows] share of certainty the text states, NaN for format failures.
    """

    distribution: NDArray[np.float64]
    stated_text: tuple[str, ...]
    stated: NDArray[np.float64]


def ask(
    lm: LanguageModel,
    questions: Sequence[str],
    fmt: Format,
    *,
    limits: Limits = LIMITS,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Answer every question and state a confidence in ``fmt``.

    Args:
        questions: the texts that are asked, options of multiple choice included.
        tokens_per_forward: memory bound, tokens of one forward pass.
        names: what errors call the questions.

    Returns:
        One row a question: row, format, answer, reasoning (where the format has it), stated_text,
            stated, likeliest (the scale's most
        probable value), expected, mass (probability of the whole scale), parse_failure. Confidences
        are shares of
        certainty; stated is NaN where nothing on the scale was stated.

    Raises:
        WorkbenchError: for a format of pairs, for no questions, for questions too long for the
            model or the memory bound, and where the tokenizer cannot tell the scale's texts apart.
    """
    if fmt.layout == "pair":
        raise WorkbenchError(f"The format {fmt.name!r} compares two questions; use ask_pairs.")
    if not questions:
        raise WorkbenchError("There are no questions to ask; give at least one.")
    check_questions(
        lm, fmt, questions, names or question_names(questions), limits, tokens_per_forward
    )
    numbers = scale_tokens(lm.tokenizer, fmt)
    if fmt.layout == "confidence-first":
        check_conversation(lm.tokenizer, fmt, numbers, questions[0])
        readings = read_all(
            lm, _conversations(lm, fmt, numbers, questions), numbers, tokens_per_forward
        )
        stated = [fmt.scale.texts[best] for best in readings.distribution.argmax(axis=1)]
        answers, reasonings = (
            _answers(lm, fmt, questions, [""] * len(questions), stated, limits, tokens_per_forward),
            None,
        )
    else:
        reasonings = _reasonings(lm, fmt, questions, limits, tokens_per_forward)
        answers = _answers(
            lm, fmt, questions, reasonings, [""] * len(questions), limits, tokens_per_forward
        )
        check_conversation(lm.tokenizer, fmt, numbers, questions[0], answers[0], reasonings[0])
        readings = read_all(
            lm,
            _conversations(lm, fmt, numbers, questions, answers, reasonings),
            numbers,
            tokens_per_forward,
        )
    table = pd.DataFrame({"row": np.arange(len(questions)), "format": fmt.name, "answer": answers})
    if fmt.reasoning_prefix:
        table["reasoning"] = reasonings
    shares = np.asarray(fmt.scale.shares)
    return table.assign(
        stated_text=list(readings.stated_text),
        stated=readings.stated,
        likeliest=shares[readings.distribution.argmax(axis=1)],
        expected=expected_confidence(readings.distribution, fmt.scale.values, fmt.scale.certain),
        mass=mass_on_scale(readings.distribution),
        parse_failure=np.isnan(readings.stated),
    )


def read_all(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    tokens_per_forward: int,
    stage: StageStore | None = None,
) -> Readings:
    """Read the confidence of all conversations, in batches of similar length; each is kept in
    ``stage`` as it is read.
    """

    def compute(batch: NDArray[np.int64]) -> Part:
        reading = read_confidence(lm, [conversations[row] for row in batch], numbers)
        table = pd.DataFrame(
            {ROW: batch, "stated_text": reading.stated_text, "stated": reading.stated}
        )
        return Part(table, {"distribution": reading.distribution})

    lengths, what = (
        [len(conversation.tokens) for conversation in conversations],
        "reading confidence",
    )
    names = [f"conversation {number}" for number in range(1, len(lengths) + 1)]
    check_lengths(
        lm, [length + stated_tokens(numbers) for length in lengths], names, tokens_per_forward
    )
    batches = plan_batches(lengths, tokens_per_forward, len(numbers.trie.scored_tokens))
    if stage is None:
        part = merge_parts([compute(batch) for batch in progress.track(batches, what)])
    else:
        part = run_parts(stage, batches, compute, what)
    stated = part.table["stated"].to_numpy(dtype=np.float64)
    return Readings(
        part.tensors["distribution"].astype(np.float64), tuple(part.table["stated_text"]), stated
    )


def _conversations(
    lm: LanguageModel,
    fmt: Format,
    numbers: ScaleTokens,
    questions: Sequence[str],
    answers: Sequence[str] | None = None,
    reasonings: Sequence[str] | None = None,
) -> list[Conversation]:
    empty = [""] * len(questions)
    said = zip(questions, answers or empty, reasonings or empty, strict=True)
    return [confidence_conversation(lm.tokenizer, fmt, numbers, *row) for row in said]


def _reasonings(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    limits: Limits,
    tokens_per_forward: int,
) -> list[str]:
    if not fmt.reasoning_prefix:
        return [""] * len(questions)
    lengths = [len(reasoning_tokens(lm.tokenizer, fmt, question)) for question in questions]

    def reason(batch: NDArray[np.int64]) -> list[str]:
        return reason_batch(lm, fmt, [questions[row] for row in batch], limits.reasoning)

    return _generated(lengths, tokens_per_forward, limits.reasoning, reason, "reasoning")


def _answers(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    reasonings: Sequence[str],
    stated: Sequence[str],
    limits: Limits,
    tokens_per_forward: int,
) -> list[str]:
    prompts = [
        answer_tokens(lm.tokenizer, fmt, question, reasoning=reasoning, stated=said)
        for question, reasoning, said in zip(questions, reasonings, stated, strict=True)
    ]

    def answer(batch: NDArray[np.int64]) -> list[str]:
        return answer_batch(lm, [prompts[row] for row in batch], limits.answer)

    return _generated(
        [len(prompt) for prompt in prompts], tokens_per_forward, limits.answer, answer, "answering"
    )


def _generated(
    lengths: Sequence[int],
    tokens_per_forward: int,
    limit: int,
    generate: Callable[[NDArray[np.int64]], list[str]],
    description: str,
) -> list[str]:
    """``generate`` batch by batch, in the rows' order."""
    out = [""] * len(lengths)
    for batch in progress.track(plan_batches(lengths, tokens_per_forward, limit), description):
        for row, text in zip(batch, generate(batch), strict=True):
            out[row] = text
    return out
