"""Ask which of two questions a model would answer correctly more likely, in both orders.

P(first) is the probability of the text "Q1" among the two texts a choice may have, from the trie;
asked again with the two questions exchanged it should be one minus that. ``combined`` is the mean
of both, in which a preference for one place, the same for all pairs, cancels; ``consistent`` says
that both orders prefer the same question. A probability of exactly one half prefers none.

This does not show how sure the model is of either question alone, or whether a difference of
combined probabilities smaller than the preference for one place means anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.confidence_table import read_conversations
from workbench.elicit.conversation import (
    check_conversation,
    pair_conversation,
    scale_tokens,
)
from workbench.elicit.format import Format
from workbench.elicit.formats import PAIRWISE
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.pipeline.store import BatchRunner, compute_parts
from workbench.settings.defaults import TOKENS_PER_FORWARD

Pair = tuple[int, int]


def neighbours(count: int, seed: int) -> list[Pair]:
    """Return ``count`` pairs of ``count`` questions, each question in two of them: neighbours on a
    circle in an order drawn by ``seed``.

    Raises:
        WorkbenchError: for fewer than three questions.
    """
    if count < 3:
        raise WorkbenchError(f"Pairs on a circle need at least three questions; there are {count}.")
    order = np.random.default_rng(seed).permutation(count).tolist()
    return list(zip(order, [*order[1:], order[0]], strict=True))


def ask_pairs(
    lm: LanguageModel,
    questions: Sequence[str],
    pairs: Sequence[Pair],
    fmt: Format = PAIRWISE,
    *,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
    run: BatchRunner = compute_parts,
) -> pd.DataFrame:
    """Ask for the choice between the two questions of every pair, in both orders.

    Args:
        run: computes the batches, see :data:`workbench.pipeline.store.BatchRunner`.

    Returns:
        One row per pair: q1, q2 (rows of ``questions``), p_first (q1 shown first), p_first_swapped
        (q2 shown first, still the probability of q1), combined, consistent, mass and mass_swapped
        (probability of the two texts together), stated_text and stated_text_swapped, chose_first
        and chose_first_swapped (1 where the generated text chooses q1, NaN for a failure).

    Raises:
        WorkbenchError: for a format of single questions, and for pairs that name a question twice
            or one there is not.
    """
    if fmt.layout != "pair":
        raise WorkbenchError(f"The format {fmt.name!r} asks about one question at a time; use ask.")
    for first, second in pairs:
        if first == second or not (0 <= first < len(questions) and 0 <= second < len(questions)):
            raise WorkbenchError(
                f"The pair ({first}, {second}) must name two of the {len(questions)} questions."
            )
    if not pairs:
        raise WorkbenchError("There are no pairs to ask about; give at least one.")
    numbers = scale_tokens(lm.tokenizer, fmt)
    check_conversation(lm.tokenizer, fmt, numbers, *(questions[row] for row in pairs[0]))
    both = [*pairs, *((second, first) for first, second in pairs)]
    conversations = [
        pair_conversation(lm.tokenizer, fmt, numbers, questions[first], questions[second])
        for first, second in both
    ]
    names = [f"conversation {number}" for number in range(1, len(conversations) + 1)]
    part = read_conversations(
        lm, conversations, numbers, names=names, tokens_per_forward=tokens_per_forward, run=run
    )
    scale = numbers.scale
    of_first = expected_confidence(part.tensors["distribution"], scale.values, scale.certain)
    return _table(pairs, of_first, part.table)


def _table(
    pairs: Sequence[Pair], of_first: NDArray[np.floating], read: pd.DataFrame
) -> pd.DataFrame:
    n, mass = len(pairs), read["mass"].to_numpy()
    text, stated = list(read["stated_text"]), read["stated"].to_numpy()
    shown, swapped = of_first[:n], 1 - of_first[n:]
    return pd.DataFrame(
        {
            "q1": [first for first, _ in pairs],
            "q2": [second for _, second in pairs],
            "p_first": shown,
            "p_first_swapped": swapped,
            "combined": (shown + swapped) / 2,
            "consistent": (shown - 0.5) * (swapped - 0.5) > 0,
            "mass": mass[:n],
            "mass_swapped": mass[n:],
            "stated_text": text[:n],
            "stated_text_swapped": text[n:],
            "chose_first": stated[:n],
            "chose_first_swapped": 1 - stated[n:],
        }
    )
