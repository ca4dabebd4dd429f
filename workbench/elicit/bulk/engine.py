"""Attach an engine that writes in bulk to a model, and say when it is used.

The engine holds the base model's weights. So it writes where answers and samples are asked of the
base model, never while an adapter is on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from peft.tuners.tuners_utils import BaseTunerLayer

from workbench.models import LanguageModel

MARK = "workbench_bulk"
TOKENS_PER_CALL = 1_000_000
"""Prompt tokens that an engine is given at once; it plans its own batches within them."""


@dataclass(frozen=True)
class Continuations:
    """Generated tokens of each row, the one that ended it included, and the log-probability of
    each, in nats, at temperature one.
    """

    tokens: list[list[int]]
    scores: list[list[float]]


class BulkEngine(Protocol):
    """An object that continues prompts given as token ids."""

    def write(
        self, prompts: Sequence[Sequence[int]], limit: int, stop: Sequence[int]
    ) -> Continuations:
        """Continue every prompt greedily by at most ``limit`` tokens, up to one of ``stop``."""
        ...

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        limit: int,
        stop: Sequence[int],
        *,
        samples: int,
        temperature: float,
        top_p: float,
        seeds: Sequence[int],
    ) -> list[list[list[int]]]:
        """Draw ``samples`` continuations of every prompt, of the prompt's own seed, as token
        ids.
        """
        ...


def attach_bulk(lm: LanguageModel, engine: BulkEngine) -> None:
    """Let ``engine`` write the answers and samples of a model."""
    setattr(lm.base(), MARK, engine)


def bulk_of(lm: LanguageModel) -> BulkEngine | None:
    """Return the engine that writes for a model in its present state; None where there is none, or
    an adapter is on.
    """
    engine: BulkEngine | None = getattr(lm.base(), MARK, None)
    if engine is None or any(
        isinstance(module, BaseTunerLayer) and not module.disable_adapters
        for module in lm.base().modules()
    ):
        return None
    return engine


def tokens_per_call(lm: LanguageModel, tokens_per_forward: int) -> int:
    """Return how many prompt tokens are continued at once: an engine's, or those of a forward."""
    return tokens_per_forward if bulk_of(lm) is None else max(tokens_per_forward, TOKENS_PER_CALL)
