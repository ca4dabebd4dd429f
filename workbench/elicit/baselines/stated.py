"""Read the stated confidence itself, as the row every other baseline is compared with.

``stated`` is the number the model writes after its answer (NaN where it writes none), ``expected``
the mean of its exact distribution over the scale: see :mod:`workbench.elicit.readout`. Both in [0,
1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.conversation import ScaleTokens, confidence_conversation
from workbench.elicit.formats import Format
from workbench.elicit.readout import expected_confidence, read_confidence
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW


def stated_batch(
    lm: LanguageModel,
    fmt: Format,
    numbers: ScaleTokens,
    asked: Sequence[Asked],
    rows: NDArray[np.int64],
) -> pd.DataFrame:
    """Return ``row``, ``stated``, ``expected`` and the tokens each computes: ``stated.tokens``,
    ``expected.tokens``.
    """
    conversations = [
        confidence_conversation(lm.tokenizer, fmt, numbers, one.text, one.answer) for one in asked
    ]
    reading = read_confidence(lm, conversations, numbers)
    lengths = np.asarray([len(conversation.tokens) for conversation in conversations])
    written = [
        len(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
        for text in reading.stated_text
    ]
    return pd.DataFrame(
        {
            ROW: rows,
            "stated": reading.stated,
            "expected": expected_confidence(
                reading.distribution, fmt.scale.values, fmt.scale.certain
            ),
            "stated.tokens": lengths + np.maximum(np.asarray(written) - 1, 0),
            "expected.tokens": lengths + numbers.trie.tree.size,
        }
    )
