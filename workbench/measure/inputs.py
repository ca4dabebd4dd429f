"""Check the inputs of every measure before anything is counted.

Confidences are float arrays [n] with NaN where the reply could not be parsed; correctness is [n],
boolean or 0/1. Unparsed rows are skipped by the measures and counted by :func:`parse_rate`, so that
both are reported together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError


def checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[Floats, Bools]:
    """Return ``confidence`` [n] as float64 and ``correct`` [n] as bool.

    Raises:
        WorkbenchError: when shapes differ, a confidence is infinite, or correctness is not 0/1.
    """
    scores = np.asarray(confidence, dtype=np.float64)
    labels = np.asarray(correct)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise WorkbenchError(
            f"confidence has shape {scores.shape} and correct {labels.shape}; pass one value of "
            "each per question"
        )
    if np.isinf(scores).any():
        raise WorkbenchError(
            "a confidence is infinite; use NaN for a reply that could not be parsed"
        )
    if labels.dtype != np.bool_ and not np.isin(labels, (0, 1)).all():
        raise WorkbenchError(
            "correct holds values other than 0 and 1; grade every answer as right or wrong first"
        )
    return scores, labels.astype(np.bool_)


def checked_probability(probability: ArrayLike, correct: ArrayLike) -> tuple[Floats, Bools]:
    """Return what :func:`checked` returns, for forecasts on the scale 0-1 (NaN allowed).

    Raises:
        WorkbenchError: when a forecast lies outside 0-1, most often because percentages were
            passed.
    """
    scores, labels = checked(probability, correct)
    if (scores < 0).any() or (scores > 1).any():
        raise WorkbenchError("a probability lies outside 0-1; divide percentages by 100 first")
    return scores, labels


def checked_domain(domain: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the domain labels [n] as integer codes 0..k-1 in sorted order of the labels.

    Raises:
        WorkbenchError: for a number of domains other than ``n``.
    """
    labels = np.asarray(domain)
    if labels.shape != (n,):
        raise WorkbenchError(
            f"domain has shape {labels.shape} for {n} questions; pass one domain per question"
        )
    return np.unique(labels.astype(str), return_inverse=True)[1].astype(np.int64)


def parse_rate(confidence: ArrayLike) -> float:
    """Return the share of replies whose confidence could be parsed (is not NaN); NaN for no
    replies.
    """
    scores = np.asarray(confidence, dtype=np.float64)
    return float(np.mean(~np.isnan(scores))) if scores.size else float("nan")
