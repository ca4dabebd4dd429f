"""Weights that are something else for a while: put back as they were, not computed back, so
nothing drifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor


@contextmanager
def replaced_weights() -> Iterator[Callable[[Tensor, Tensor], None]]:
    """Gives ``put(weight, value)``; every weight it was given has its own data again after the
    block, also after an error.
    """
    kept: list[tuple[Tensor, Tensor]] = []

    def put(weight: Tensor, value: Tensor) -> None:
        kept.append((weight, weight.data))
        weight.data = value

    try:
        yield put
    finally:
        for weight, original in reversed(kept):
            weight.data = original
