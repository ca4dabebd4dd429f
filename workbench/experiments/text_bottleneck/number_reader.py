"""Make inputs of a run's conversations at the tokens that a confidence is read from, or at ordinary
ones, and cut questions into batches for many branches each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from workbench.arrays import Rows
from workbench.elicit.conversation import Conversation
from workbench.elicit.trie import ScaleTrie
from workbench.loop.confidence import confidence_conversations
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs
from workbench.patch.written_confidence import number_positions
from workbench.trace.batches import plan_batches

TOKENS = 16
"""Ordinary tokens of each question that a reference is averaged over."""
TAIL_SHARE = 0.25
"""The share of a pass that the prompts of a batch may take."""


@dataclass(frozen=True, eq=False)
class NumberReader:
    """The model in a condition, with the run's conversations."""

    context: Run
    lm: LanguageModel

    @cached_property
    def conversations(self) -> list[Conversation]:
        return confidence_conversations(self.context)

    @property
    def budget(self) -> int:
        return self.context.config.model.tokens_per_forward

    def at_number(self, rows: Rows, trie: ScaleTrie) -> ModelInputs:
        """Return the questions at the tokens that a number is read from in a trie."""
        prompts = [self.conversations[row].tokens for row in rows]
        return ModelInputs(self.lm, prompts, number_positions(prompts, trie))

    def at_ordinary_tokens(self, rows: Rows, rng: np.random.Generator) -> ModelInputs:
        """Return the questions at random tokens between question and confidence position that are
        no special ones.
        """
        special = {*self.lm.tokenizer.all_special_ids}
        prompts, positions = [], []
        for row in rows:
            one = self.conversations[row]
            first = (one.question_end or 0) + 1
            ordinary = [at for at in range(first, one.confidence) if one.tokens[at] not in special]
            prompts.append(one.tokens)
            positions.append(rng.choice(ordinary, TOKENS))
        return ModelInputs(self.lm, prompts, torch.as_tensor(np.array(positions)))

    def batches(self, rows: Rows) -> list[Rows]:
        """Cut questions into batches whose prompts leave most of a pass to branches."""
        lengths = [len(self.conversations[row].tokens) for row in rows]
        return plan_batches(lengths, max(1, int(TAIL_SHARE * self.budget)))
