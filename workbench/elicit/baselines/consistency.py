"""Measure self-consistency: how far sampled answers agree with the greedy answer, and with one
another.

Sign: shares in [0, 1], larger means more confident. The likelihood-weighted share counts every
distinct sampled token sequence once, with its likelihood, because how often it was drawn already
reflects that likelihood (Rao-Blackwell: the sampling noise of repeats is gone, what was never drawn
is still missing). ``modal_share`` is that of the most frequent answer, which need not be the greedy
one. What a share does not show: an answer all samples agree on may be wrong, and one answer worded
in many ways looks uncertain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.equality import agrees, answer_key
from workbench.pipeline.store import ROW


def consistency(samples: pd.DataFrame, asked: Sequence[Asked]) -> pd.DataFrame:
    """Return the shares per question from the table of
    :func:`workbench.elicit.baselines.sampling.sampled_batch`.

    Returns:
        One line for each of ``asked``: ``agreement``, ``weighted_agreement`` and ``modal_share``.
    """
    by_row = dict(tuple(samples.groupby(ROW)))
    return pd.DataFrame([_of_one(by_row[row], one) for row, one in enumerate(asked)])


def _of_one(samples: pd.DataFrame, asked: Asked) -> dict[str, float]:
    agreeing = np.asarray([agrees(text, asked.answer, asked.question) for text in samples["text"]])
    counts = Counter(answer_key(text, asked.question) for text in samples["text"])
    distinct = ~samples["path"].duplicated().to_numpy()
    weight = shares(samples["log_likelihood"].to_numpy(dtype=float)[distinct])
    return {
        "agreement": float(agreeing.mean()),
        "weighted_agreement": float(weight[agreeing[distinct]].sum()),
        "modal_share": max(counts.values()) / len(samples),
    }


def shares(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights [n] given by their logarithms, scaled to add up to one."""
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()
