"""Measure how many dimensions of the residual stream numbers are read from, and how much of a
direction lies in them.

A number readout is a matrix [tokens, width] a layer: how each number token's logit moves with the
state. Only differences of its rows count, because what moves all logits alike changes nothing among
them; so the rows' mean is taken away. Its *effective rank* is exp(H) of the shares that its squared
singular values have in their sum (Roy & Vetterli 2007, who take the shares of the singular values
themselves; of the squared ones they are shares of variance), between 1 and tokens - 1.

In the metric of the states' covariance S the singular values are those of J S^1/2, the standard
deviations of the readout's principal components over questions: it counts the dimensions along
which questions move the numbers, not those along which they could. A low rank there may be the
states' doing: a random readout of as many rows, beside it, shows what these states allow.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Floats


def row_differences(readout: Floats) -> Floats:
    """Return a ``readout`` [..., tokens, width] without the mean of its rows."""
    wide = np.asarray(readout, dtype=np.float64)
    found: Floats = wide - wide.mean(axis=-2, keepdims=True)
    return found


def effective_rank(rows: Floats) -> float:
    """Return exp(H) of the shares of the squared singular values of ``rows`` [n, k]; NaN where all
    are zero.
    """
    squares = _squares(rows)
    if not squares.any():
        return float("nan")
    shares = squares[squares > 0] / squares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def participation_ratio(rows: Floats) -> float:
    """Return the participation ratio of the squared singular values of ``rows`` [n, k]: their sum
    squared over the sum of their squares, which weighs small ones less than
    :func:`effective_rank`; NaN where all are zero.
    """
    squares = _squares(rows)
    return float(squares.sum() ** 2 / np.square(squares).sum()) if squares.any() else float("nan")


def _squares(rows: Floats) -> Floats:
    # Of the smaller Gram matrix: hundreds of random readouts are measured at every layer.
    gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    return np.linalg.eigvalsh(gram).clip(min=0)
