"""Replace weights for a while. The originals are put back, not computed back, so nothing drifts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor


@contextmanager
def replaced_weights() -> Iterator[Callable[[Tensor, Tensor], None]]:
    """Yield ``put(weight, value)``, which replaces a weight's data. After the block, also after an
    error, every weight has its original data again.
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
