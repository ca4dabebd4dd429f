"""Compare an engine that writes in bulk with the exact path, before its first texts are used.

Some prompts of the first call, spread over their lengths, are answered greedily by the exact path
too, token by token. Where two texts part, the exact path says how much more probable its own next
token is than the engine's. Within the rounding of the weights' dtype the two are a tie, which
another order of additions decides the other way; beyond it the engine is wrong for that prompt:
another template, dtype, kernel or checkpoint. Agreement is the share of prompts with equal texts or
a tie. Below a stated threshold nothing of the engine's is used.

After the first difference texts are not compared: they have different beginnings. Agreement on
these prompts does not show that longer or other prompts agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from workbench.elicit.answer import greedy_tokens, start_prompts
from workbench.elicit.bulk.engine import BulkEngine, Continuations
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.progress import notice
from workbench.trace.batches import plan_batches

TIE = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 0.25}
"""By dtype, the largest difference in nats between two tokens that rounding may order either way:
two steps of a logit between 16 and 32.
"""


@dataclass(frozen=True)
class Agreement:
    """How an engine's texts compare with the exact path's.

    Attributes:
        rows: prompts compared.
        ties: those that part at two tokens as probable as each other.
        wrong: those that part elsewhere.
        largest: the largest difference there, in nats, 0 where there is none.
    """

    rows: int
    ties: int
    wrong: int
    largest: float

    @property
    def share(self) -> float:
        """The share of prompts with equal texts or a tie."""
        return 1 - self.wrong / self.rows

    def said(self) -> str:
        """Say the counts in words."""
        equal = self.rows - self.ties - self.wrong
        return (
            f"of {self.rows} prompts {equal} got the exact path's text, {self.ties} part at a tie, "
            f"and {self.wrong} elsewhere (by up to {self.largest:.3g} nats)"
        )


@dataclass(eq=False)
class CheckedEngine:
    """An engine whose first texts are compared with the exact path.

    Attributes:
        name: how errors call the engine.
        rows: prompts that are compared.
        threshold: least share of them that must agree.
    """

    lm: LanguageModel
    engine: BulkEngine
    name: str
    rows: int
    threshold: float
    tokens_per_forward: int
    agreement: Agreement | None = field(default=None, init=False)

    def write(
        self, prompts: Sequence[Sequence[int]], limit: int, stop: Sequence[int]
    ) -> Continuations:
        """Continue prompts as :class:`~workbench.elicit.bulk.engine.BulkEngine` says.

        Raises:
            WorkbenchError: at the first call, where the engine does not agree with the exact path.
        """
        found = self.engine.write(prompts, limit, stop)
        if self.agreement is None:
            self._check(prompts, found, limit, stop)
        return found

    def sample(
        self, prompts: Sequence[Sequence[int]], limit: int, stop: Sequence[int], **drawn: object
    ) -> list[list[list[int]]]:
        """Draw as :class:`~workbench.elicit.bulk.engine.BulkEngine` says; greedy texts are compared
        first, where none were.

        Raises:
            WorkbenchError: as :meth:`write`.
        """
        if self.agreement is None:
            chosen = [prompts[row] for row in _spread(prompts, self.rows)]
            self._check(chosen, self.engine.write(chosen, limit, stop), limit, stop)
        return self.engine.sample(prompts, limit, stop, **drawn)  # type: ignore[arg-type]

    def _check(
        self,
        prompts: Sequence[Sequence[int]],
        found: Continuations,
        limit: int,
        stop: Sequence[int],
    ) -> None:
        rows = _spread(prompts, self.rows)
        agreement = compare(
            self.lm,
            [prompts[row] for row in rows],
            [found.tokens[row] for row in rows],
            limit,
            stop,
            self.tokens_per_forward,
        )
        if agreement.share < self.threshold:
            raise WorkbenchError(
                f"{self.name} does not write what the exact path writes: {agreement.said()}, and "
                f"at least {self.threshold:.0%} must agree; check that both have the same weights "
                "and dtype, or set elicit.engine=exact."
            )
        notice(f"{self.name} against the exact path: {agreement.said()}.")
        self.agreement = agreement


def compare(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Sequence[int]],
    limit: int,
    stop: Sequence[int],
    tokens_per_forward: int,
) -> Agreement:
    """Compare an engine's greedy ``texts``, token ids, with those of the exact path.

    Raises:
        WorkbenchError: for no prompts.
    """
    if not prompts:
        raise WorkbenchError("An engine is compared on prompts; give at least one.")
    mask = torch.zeros(lm.config.vocab_size, dtype=torch.bool, device=lm.device)
    mask[list(stop)] = True
    own: list[list[int]] = [[] for _ in prompts]
    for batch in plan_batches([len(prompt) for prompt in prompts], tokens_per_forward):
        written, _ = greedy_tokens(lm, [prompts[row] for row in batch], limit, mask)
        for row, tokens in zip(batch.tolist(), written, strict=True):
            own[row] = tokens
    parted = {
        row: at
        for row, (mine, theirs) in enumerate(zip(own, texts, strict=True))
        if (at := _first_difference(mine, theirs)) is not None
    }
    gaps = [
        _gap(lm, [*prompts[row], *own[row][:at]], own[row], list(texts[row]), at)
        for row, at in parted.items()
    ]
    tie = TIE.get(lm.dtype, max(TIE.values()))
    return Agreement(
        rows=len(prompts),
        ties=sum(gap <= tie for gap in gaps),
        wrong=sum(gap > tie for gap in gaps),
        largest=max(gaps, default=0.0),
    )


def _first_difference(mine: Sequence[int], theirs: Sequence[int]) -> int | None:
    for at, (one, other) in enumerate(zip(mine, theirs, strict=False)):
        if one != other:
            return at
    return None if len(mine) == len(theirs) else min(len(mine), len(theirs))


def _gap(
    lm: LanguageModel, before: Sequence[int], mine: list[int], theirs: list[int], at: int
) -> float:
    """Return by how many nats the exact path prefers its own token at ``at`` to the engine's;
    infinite where one of the texts ends there, or the token is none.
    """
    if at >= min(len(mine), len(theirs)) or not 0 <= theirs[at] < lm.config.vocab_size:
        return float("inf")
    logits = unembed(lm, start_prompts(lm, [before]).final).float()[0]
    return float(logits[mine[at]] - logits[theirs[at]])


def _spread(prompts: Sequence[Sequence[int]], count: int) -> list[int]:
    """Return the rows of prompts evenly spread over all by length."""
    order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return sorted(order[places].tolist())
