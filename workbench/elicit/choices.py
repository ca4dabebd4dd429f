"""Offer the choice of answering or passing, with the options in both orders.

P(commit) is the probability of the text that commits among the two that a choice may have, exact
over whole strings. It is read with either option named first; ``p_commit`` is the mean of both, in
which a preference for a place, the same for all questions, cancels, and ``consistent`` says that
both orders choose alike. ``passed`` is what the model wrote in the order of the format asked for.

This does not show whether a model means what it chooses: nothing follows from a choice here. A
small ``mass`` says that it would have written something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.ask import GivenAnswer
from workbench.elicit.confidence_table import read_conversations
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    check_conversation,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.format import Format
from workbench.elicit.formats import FORMATS, other_order
from workbench.elicit.lengths import question_names
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, BatchRunner, compute_parts
from workbench.settings.defaults import TOKENS_PER_FORWARD


@dataclass(frozen=True, eq=False)
class Choices:
    """What a model chose for each question.

    Attributes:
        table: one row per question: row, p_commit (mean of both orders), p_commit_shown and
            p_commit_swapped, consistent, mass and mass_swapped, stated_text, stated_text_swapped,
            and passed and passed_swapped (1 where the text declines, NaN where it is neither).
        conversations: [n] conversations up to the choice, in the order asked for.
        swapped: the same in the other order.
        numbers: how the two texts continue them.
        states: [n, layers, positions, width] of ``conversations``, None where none was recorded.
    """

    table: pd.DataFrame
    conversations: tuple[Conversation, ...]
    swapped: tuple[Conversation, ...]
    numbers: ScaleTokens
    states: NDArray[np.float32] | None


def require_offer(fmt: Format) -> None:
    """Refuse a format that offers no choice.

    Raises:
        WorkbenchError: for such a format.
    """
    if not fmt.offer:
        known = ", ".join(name for name, row in FORMATS.items() if row.offer)
        raise WorkbenchError(
            f"The format {fmt.name!r} asks for a confidence and offers no turn to pass; choose one "
            f"of {known}."
        )


def ask_choice(
    lm: LanguageModel,
    questions: Sequence[str],
    fmt: Format,
    said: Sequence[GivenAnswer] | None = None,
    *,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
    names: Sequence[str] | None = None,
    record: Sequence[str] = (),
    run: BatchRunner = compute_parts,
) -> Choices:
    """Offer the choice of ``fmt`` for every question, in both orders.

    Args:
        said: what the model answered, where the choice is offered after the answer.
        names: what errors call the questions.
        record: the positions whose states are recorded, in the order of ``fmt``.
        run: computes the batches, see :data:`workbench.pipeline.store.BatchRunner`.

    Raises:
        WorkbenchError: for a format that offers no choice, no questions, answers that are missing
            or that the choice comes before, and conversations too long for the model.
    """
    require_offer(fmt)
    if not questions:
        raise WorkbenchError("There are no questions to offer a choice on; give at least one.")
    given = _given(fmt, len(questions), said)
    known = list(names or question_names(questions))
    numbers = scale_tokens(lm.tokenizer, fmt)
    orders = (fmt, other_order(fmt))
    for order in orders:
        check_conversation(lm.tokenizer, order, numbers, questions[0], *given[0])
    conversations = [
        confidence_conversation(lm.tokenizer, order, numbers, question, *texts)
        for order in orders
        for question, texts in zip(questions, given, strict=True)
    ]
    # One call, so that both orders are parts of one resumable stage.
    part = read_conversations(
        lm,
        conversations,
        numbers,
        names=[*known, *(f"{name}, options swapped" for name in known)],
        tokens_per_forward=tokens_per_forward,
        run=run,
        record=record,
        description="choosing",
    )
    n, states = len(questions), part.tensors.get("states")
    return Choices(
        _table(part.table, n),
        tuple(conversations[:n]),
        tuple(conversations[n:]),
        numbers,
        None if states is None else states[:n],
    )


def _given(fmt: Format, n: int, said: Sequence[GivenAnswer] | None) -> Sequence[GivenAnswer]:
    if fmt.shows_answer:
        if said is None or len(said) != n:
            raise WorkbenchError(
                f"The format {fmt.name!r} offers its choice after the answer; give the answer to "
                f"each of the {n} questions."
            )
        return said
    if said is not None:
        raise WorkbenchError(
            f"The format {fmt.name!r} offers its choice before the answer; give no answers, or "
            "choose a format that ends in after."
        )
    return [GivenAnswer("")] * n


def _table(read: pd.DataFrame, n: int) -> pd.DataFrame:
    first, second = read[:n], read[n:].reset_index(drop=True)
    either = [part["expected"].to_numpy() for part in (first, second)]
    return pd.DataFrame(
        {
            ROW: first[ROW],
            "p_commit": (either[0] + either[1]) / 2,
            "p_commit_shown": either[0],
            "p_commit_swapped": either[1],
            "consistent": (either[0] - 0.5) * (either[1] - 0.5) > 0,
            "mass": first["mass"],
            "mass_swapped": second["mass"],
            "stated_text": first["stated_text"],
            "stated_text_swapped": second["stated_text"],
            "passed": 1 - first["stated"],
            "passed_swapped": 1 - second["stated"],
        }
    )
