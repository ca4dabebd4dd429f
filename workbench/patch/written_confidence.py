"""Read what a model says of its confidence in patched branches: the exact distribution over the
scale, and the value that greedy decoding would write.

The written value follows the most likely tokens of the whole vocabulary from the confidence
position, as far as they continue a value of the scale. It ignores what follows it ("99" in
"99.99"), as the trie does. Every branch reads all inner nodes of the trie, so a patch that should
act on the whole number names them too (:func:`number_positions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.arrays import Floats
from workbench.elicit.trie import ScaleTrie
from workbench.models import LanguageModel
from workbench.trace.backends import PACKED, Engine
from workbench.trace.interventions import Branch


@dataclass(frozen=True)
class WrittenConfidence:
    """The confidence of each row, unpatched first and then in every branch.

    ``distribution`` [rows, 1 + branches, values] over the scale; ``written`` [rows, 1 + branches]
    the value greedy decoding writes, NaN where it writes none of the scale.
    """

    distribution: Floats
    written: Floats


def number_positions(prompts: Sequence[Sequence[int]], trie: ScaleTrie) -> Tensor:
    """Return the tokens that a number is read from, [rows, 1 + nodes]: each prompt's last one, the
    confidence position, and the trie's further inner nodes.
    """
    lengths = torch.as_tensor([len(prompt) for prompt in prompts])
    return lengths[:, None] - 1 + torch.arange(trie.tree.size + 1)


def read_written(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    trie: ScaleTrie,
    branches: Sequence[Branch],
    *,
    tokens_per_forward: int,
    engine: Engine = PACKED,
) -> WrittenConfidence:
    """Read confidence unpatched and in every branch.

    Args:
        prompts: conversations up to the confidence position, their last token.
        trie: of the scale, after them.
        tokens_per_forward: most tokens of a forward.
        engine: runs the branches (:func:`workbench.trace.backends.engine`).
    """

    tokens = list(trie.tokens)

    def readout(logits: Tensor) -> Tensor:
        # One normaliser for both, so that the best token of the scale is the best one to the bit.
        either = torch.cat([logits[:, tokens], logits.amax(dim=-1, keepdim=True)], dim=-1)
        return either.float() - logits.float().logsumexp(dim=-1, keepdim=True)

    found = engine(lm).patch(
        prompts, branches, readout, tokens_per_forward=tokens_per_forward, tree=trie.tree
    )
    every = torch.cat([found.base[:, None], found.patched], dim=1)
    if not trie.tree.size:
        every = every[:, :, None]
    scores, best = every[..., :-1], every[..., -1]
    return WrittenConfidence(trie.distribution(scores), trie.greedy_values(scores, best))
