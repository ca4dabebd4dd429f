"""Read the confidence of many conversations batch by batch: one row per conversation.

The table has the columns row, stated_text, stated, expected, mode (the scale's most probable value)
and mass (the probability of the whole scale); ``distribution`` [rows, values] and, where they are
recorded, ``states`` [rows, layers, positions, width] come with it. Confidences are shares of
certainty, higher is surer of being right; ``stated`` is NaN where the text states nothing on the
scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Rows
from workbench.elicit.conversation import Conversation, ScaleTokens
from workbench.elicit.lengths import check_lengths
from workbench.elicit.readout import (
    ConfidenceReading,
    expected_confidence,
    mass_on_scale,
    read_confidence,
    stated_tokens,
)
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, BatchRunner, Part
from workbench.trace.batches import plan_batches

ReadBatch = Callable[[Rows], ConfidenceReading]


def reading_batches(
    lengths: Sequence[int], numbers: ScaleTokens, tokens_per_forward: int
) -> list[Rows]:
    """Plan the batches in which confidence is read after conversations of ``lengths`` tokens."""
    return plan_batches(lengths, tokens_per_forward, len(numbers.trie.scored_tokens))


def check_readable(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    names: Sequence[str],
    tokens_per_forward: int,
) -> list[int]:
    """Refuse conversations that are too long together with what they state; return their lengths.

    Raises:
        WorkbenchError: naming the longest.
    """
    lengths, to_come = [len(each.tokens) for each in conversations], stated_tokens(numbers)
    check_lengths(lm, [length + to_come for length in lengths], names, tokens_per_forward)
    return lengths


def read_rows(
    rows: Rows,
    lengths: Sequence[int],
    read: ReadBatch,
    numbers: ScaleTokens,
    *,
    tokens_per_forward: int,
    run: BatchRunner,
    description: str,
) -> Part:
    """Read the confidence of ``rows`` with ``read``, which is called with the rows of each batch.

    Args:
        lengths: [rows] tokens each row costs, without those of the scale.
        run: computes the batches, see :data:`workbench.pipeline.store.BatchRunner`.
    """
    scale = numbers.scale

    def compute(batch: Rows) -> Part:
        chosen = rows[batch]
        reading = read(chosen)
        mode = np.asarray(scale.values)[reading.distribution.argmax(axis=-1)] / scale.certain
        table = pd.DataFrame(
            {
                ROW: chosen,
                "stated_text": reading.stated_text,
                "stated": reading.stated,
                "expected": expected_confidence(reading.distribution, scale.values, scale.certain),
                "mode": mode,
                "mass": mass_on_scale(reading.distribution),
            }
        )
        states = {} if reading.states is None else {"states": reading.states}
        return Part(table, {"distribution": reading.distribution, **states})

    return run(reading_batches(lengths, numbers, tokens_per_forward), compute, description)


def split_states(
    tensors: Mapping[str, NDArray[Any]], count: int, name: str
) -> dict[str, NDArray[Any]]:
    """Return the tensors with the states [rows, layers, positions, width] of the first ``count``
    positions, and those of the one after them, if there is one, as ``name`` [rows, layers, width].
    """
    found = dict(tensors)
    if "states" in found and found["states"].shape[2] > count:
        states = found["states"]
        found["states"] = np.ascontiguousarray(states[:, :, :count])
        found[name] = np.ascontiguousarray(states[:, :, count])
    return found


def replace_position(states: NDArray[Any], at: int, others: NDArray[Any] | None) -> NDArray[Any]:
    """Return a copy of ``states`` [rows, layers, positions, width] with those at one position
    replaced by ``others`` [rows, layers, 1, width]: an adapter on the reply changes no others.
    """
    assert others is not None
    out = states.copy()
    out[:, :, at] = others[:, :, 0]
    return out


def read_conversations(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    *,
    names: Sequence[str],
    tokens_per_forward: int,
    run: BatchRunner,
    record: Sequence[str] = (),
    description: str = "reading confidence",
) -> Part:
    """Read the confidence of whole conversations, each from a pass of its own tokens.

    Args:
        names: what errors call each conversation.
        record: the positions whose states are recorded.

    Raises:
        WorkbenchError: for conversations too long for the model or the memory bound.
    """
    lengths = check_readable(lm, conversations, numbers, names, tokens_per_forward)

    def read(rows: Rows) -> ConfidenceReading:
        return read_confidence(lm, [conversations[row] for row in rows], numbers, record)

    return read_rows(
        np.arange(len(conversations)),
        lengths,
        read,
        numbers,
        tokens_per_forward=tokens_per_forward,
        run=run,
        description=description,
    )
