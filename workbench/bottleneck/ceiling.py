"""Define the ceiling of a model's confidence: the few values that nearly all answers are given, and
the margin by which they stand above all others.

The ceiling's values are the commonest first values, from the commonest on, until together they are
the first of COVERED of the answers, at most MOST of them: a model that writes 99 and 100 by turns
has one ceiling of two values. The *margin* of an answer is log p of its most probable ceiling value
minus log p of the most probable other value of the scale, in nats. With one ceiling value that is
its distance to the runner-up.

Sign: positive while the text writes a ceiling value, zero where it would begin to write another.
The margin does not show which of the ceiling's values is written, nor that a model has a ceiling at
all: for that, see the share of answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from workbench.arrays import Floats
from workbench.bottleneck.fixed_maps import log_of
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.patch.metrics import Metric

COVERED, MOST = 0.9, 3


@dataclass(frozen=True)
class Ceiling:
    """The ceiling's ``columns`` among the ``values`` of a scale, commonest first, and the ``share``
    of answers whose first value is one of them.
    """

    values: tuple[float, ...]
    columns: tuple[int, ...]
    share: float

    def __post_init__(self) -> None:
        inside = all(0 <= column < len(self.values) for column in self.columns)
        if not self.columns or not inside or len({*self.columns}) >= len(self.values):
            raise WorkbenchError(
                "A ceiling is made of some values of the scale, and leaves others: it was given "
                f"{len(self.columns)} of {len(self.values)}."
            )

    @property
    def written(self) -> tuple[float, ...]:
        """The ceiling's values, commonest first."""
        return tuple(self.values[column] for column in self.columns)

    @property
    def others(self) -> tuple[int, ...]:
        """The columns of all other values."""
        return tuple(at for at in range(len(self.values)) if at not in self.columns)


def find_ceiling(distribution: Floats, values: Sequence[float]) -> Ceiling:
    """Find the ceiling of answers with these distributions [n, values] over a scale of at least two
    ``values``.
    """
    first = distribution.argmax(axis=1)
    counts = np.bincount(first, minlength=len(values)) / len(first)
    order = np.argsort(-counts, kind="stable")[: min(MOST, len(values) - 1)]
    needed = int((np.cumsum(counts[order]) < COVERED).sum()) + 1
    chosen = order[:needed]
    chosen = chosen[counts[chosen] > 0]
    columns = tuple(int(column) for column in chosen)
    return Ceiling(tuple(values), columns, float(counts[chosen].sum()))


def margin_of(distribution: Floats, ceiling: Ceiling) -> Floats:
    """Return the margin [...] of distributions [..., values]."""
    scores = log_of(distribution)
    top, other = (
        scores[..., list(part)].max(axis=-1) for part in (ceiling.columns, ceiling.others)
    )
    out: Floats = top - other
    return out


def contenders(distribution: Floats, ceiling: Ceiling) -> tuple[float, ...]:
    """Return the ceiling's values and every value that is the most probable other one of a question
    with distributions [n, values]: those that a margin is read from.
    """
    others = np.array(ceiling.others)
    found = {*ceiling.columns, *others[distribution[:, others].argmax(axis=1)].tolist()}
    return tuple(ceiling.values[column] for column in sorted(found))


def ceiling_margin(trie: ScaleTrie, ceiling: Ceiling) -> Metric:
    """Return the margin as a metric that can be patched and differentiated, over the values of
    ``trie``: the whole scale's, or one that is cut to fewer nodes.

    Raises:
        WorkbenchError: for a trie without a value of the ceiling, or without any other.
    """
    columns = [at for at, value in enumerate(trie.values) if value in ceiling.written]
    others = [at for at, value in enumerate(trie.values) if value not in ceiling.written]
    if len(columns) < len(ceiling.written) or not others:
        raise WorkbenchError(
            "The trie lacks a value of the ceiling, or has no other; find the ceiling on its scale."
        )

    def value(scores: Tensor) -> Tensor:
        nodes = scores if trie.tree.size else scores[:, None]
        found = trie.log_probabilities_of(nodes.double())
        return found[:, columns].amax(dim=-1) - found[:, others].amax(dim=-1)

    return Metric(trie.readout, value, trie.tree)
