"""Choose the next token of texts that are written together, greedily or by chance, and keep each
choice's log-probability.

A sampled token is found by inverting the distribution function at a uniform number that belongs to
seed, prompt, sample and step. So what is drawn for a text depends neither on the texts beside it
nor on how many more are drawn, and branches with one seed are coupled: where a patch changes no
distribution it changes no text, and a difference between two texts is the patch's, not the draw's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from workbench.elicit.baselines.sampling import Draw
from workbench.elicit.greedy import most_probable
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.moved_bytes import moved
from workbench.patch.text_branches import UNPATCHED, Entry


@dataclass(frozen=True)
class Sampling:
    """How texts are drawn.

    Attributes:
        samples: texts of each prompt in each branch.
        temperature: what logits are divided by.
        top_p: drawn from are the fewest tokens that hold this much of the distribution.
        seed: of the unpatched texts, and of all branches without ``seeds``.
        seeds: one of each branch.
    """

    samples: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.temperature > 0 or not 0 < self.top_p <= 1:
            raise WorkbenchError(
                "Sampling needs one sample or more, a temperature above 0 and top_p between 0 and "
                f"1; got {self.samples}, {self.temperature} and {self.top_p}."
            )
        if min((self.seed, *self.seeds)) < 0:
            raise WorkbenchError("Seeds are whole numbers of 0 or more.")

    def require_seeds(self, branches: int) -> None:
        """Refuse another number of seeds than of branches.

        Raises:
            WorkbenchError: for such.
        """
        if self.seeds and len(self.seeds) != branches:
            raise WorkbenchError(
                f"There are {len(self.seeds)} seeds for {branches} branches; give one for each, or "
                "none for one seed of all."
            )

    def uniforms(
        self, entries: Sequence[Entry], prompts: Sequence[Sequence[int]], limit: int
    ) -> Tensor:
        """Return the uniform numbers [entries, limit] that the texts of ``entries`` are drawn by,
        float64.
        """
        drawn = np.empty((len(entries), limit))
        for line, entry in zip(drawn, entries, strict=True):
            own = self.seeds and entry.branch != UNPATCHED
            seed = self.seeds[entry.branch] if own else self.seed
            tokens = np.asarray(prompts[entry.row], dtype="<i8").tobytes()
            prompt = int.from_bytes(hashlib.sha256(tokens).digest()[:8], "big")
            line[:] = np.random.default_rng([seed, prompt, entry.sample]).random(limit)
        return torch.as_tensor(drawn)


class Choice(Protocol):
    """A rule that chooses the next tokens; ``chosen`` [texts, steps] gets their log-probabilities
    in nats, at temperature 1 and of the whole distribution.
    """

    chosen: Tensor

    def __call__(self, final: Tensor, rows: Tensor, step: int) -> Tensor:
        """Return the next tokens [live] after states ``final`` [live, width] of texts ``rows``;
        ``step`` -1 chooses the first ones.
        """
        ...


@dataclass
class Greedy:
    """A rule that chooses the most probable token."""

    lm: LanguageModel
    texts: int
    limit: int
    chosen: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.chosen = torch.zeros((self.texts, self.limit), device=self.lm.device)

    def __call__(self, final: Tensor, rows: Tensor, step: int) -> Tensor:
        """Return the most probable tokens [live]; see :class:`Choice`."""
        with torch.no_grad():
            return moved(most_probable(self.lm, self.chosen)(final, rows, step), rows.device)


def choice_of(
    lm: LanguageModel,
    entries: Sequence[Entry],
    prompts: Sequence[Sequence[int]],
    limit: int,
    stop: Tensor,
    sampling: Sampling | None,
) -> Choice:
    """Return the rule by which texts are written: the most probable token without ``sampling``."""
    if sampling is None:
        return Greedy(lm, len(entries), limit)
    uniforms = sampling.uniforms(entries, prompts, limit).to(lm.device)
    return Draw(lm, sampling.temperature, sampling.top_p, uniforms, stop)
