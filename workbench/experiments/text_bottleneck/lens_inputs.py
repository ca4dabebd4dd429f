"""Choose the questions that lenses are fitted on and read, and keep what both conditions share of
their prompts.

An adapter on the reply leaves the keys and values of all that precedes it as the base model's. So
they are computed once for reading before and after teaching, and only the reply and the scale's
nodes are passed again. Questions that lenses are fitted on are among those that are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from workbench.arrays import Rows
from workbench.bottleneck.scale_lens import node_states
from workbench.elicit.trie import ScaleTrie
from workbench.experiments.text_bottleneck.beginnings import compute_beginnings
from workbench.experiments.text_bottleneck.read import Split
from workbench.loop.confidence import confidence_conversations
from workbench.loop.questions import spread_rows
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.patch.model_states import Beginnings
from workbench.trace.batches import map_batches
from workbench.trace.prompt_cache import CachedPrompts

FITTED_ON = 96
FIT_BYTES = 2**29
"""The most that the states a tuned lens is fitted on take; fewer questions are used for it."""


@dataclass(frozen=True, eq=False)
class LensInputs:
    """The prompts of the questions that are read, and which lenses are fitted on.

    Attributes:
        rows: [n] the questions, sorted: some training questions and every held-out one.
        prompts: [n] their tokens.
        fitted: [m] the places in ``rows`` of the training questions that lenses are fitted on.
        trie: the scale's texts after the prompts.
        budget: most tokens of a forward.
        beginnings: keys and values of the prompts' first tokens by place in ``rows``; None where
            every pass computes whole prompts.
    """

    rows: Rows
    prompts: Sequence[tuple[int, ...]]
    fitted: Rows
    trie: ScaleTrie
    budget: int
    beginnings: Beginnings | None

    def kept(self, places: Rows) -> CachedPrompts | None:
        """Return what is kept of the prompts at some places."""
        return None if self.beginnings is None else self.beginnings(places)

    def some(self, places: Rows) -> list[tuple[int, ...]]:
        """Return the prompts at some places."""
        return [self.prompts[place] for place in places]

    def states(self, lm: LanguageModel, places: Rows) -> torch.Tensor:
        """Record the states [places, layers, inner nodes, width] of some prompts, in float32 on the
        CPU.
        """

        def record(batch: Rows) -> torch.Tensor:
            mine = places[batch]
            return node_states(lm, self.some(mine), self.trie, self.kept(mine)).float().cpu()

        return map_batches(
            [len(prompt) for prompt in self.some(places)],
            self.budget,
            record,
            self.trie.tree.size,
            description="recording states for the lenses",
        )


def lens_inputs(
    context: Run, lm: LanguageModel, split: Split, training_questions: int
) -> LensInputs:
    """Return the inputs of both conditions, with ``training_questions`` at most; ``lm`` is the
    model with or without its adapter.
    """
    conversations, trie = confidence_conversations(context), context.scale_tokens.trie
    known = spread_rows(split.train, training_questions)
    rows = np.sort(np.r_[known, split.test])
    prompts = [conversations[row].tokens for row in rows]
    nodes = trie.tree.size + 1
    count = max(8, min(FITTED_ON, FIT_BYTES // (lm.n_layers * nodes * lm.width * 4)))
    fitted = np.searchsorted(rows, spread_rows(known, count))
    beginnings = compute_beginnings(context, lm, conversations, rows)
    return LensInputs(
        rows, prompts, fitted, trie, context.config.model.tokens_per_forward, beginnings
    )
