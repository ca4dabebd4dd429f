"""A batch of training examples as one packed forward, and its loss.

Behind every prompt stands the example's tree of target tokens, padded to the largest tree of the batch; a padding node is
seen by nobody and weighs nothing. With kept keys and values of the prompts' first tokens, the forward computes only what
stands behind those: the tokens that open the confidence reply and the tree. Logits are made at the confidence position and
the tree's nodes, nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.teach.examples import Example
from workbench.trace.continuation import Continuation
from workbench.trace.kept import Kept
from workbench.trace.layout import FROM_START, Prompts, Tail, pad_prompts
from workbench.trace.masks import model_mask, tail_visibility, visibility

ALMOST_ONE = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Targets:
    """What should follow at every place of a batch.

    Attributes:
        alphabet: [tokens] every token targeted in the batch.
        probabilities: [rows, places, tokens].
        follows: [rows, places, tokens] bool, tokens targeted at the place.
        ends: [rows, places] probability that none of them follows.
        weights: [rows, places], 0 at padding nodes.
    """

    alphabet: Tensor
    probabilities: Tensor
    follows: Tensor
    ends: Tensor
    weights: Tensor

    def loss(self, logits: Tensor) -> Tensor:
        """Mean over rows of the weighted cross-entropies of ``logits`` [rows, places, vocab]."""
        logits = logits.float()
        scores = logits[..., self.alphabet] - logits.logsumexp(dim=-1, keepdim=True)
        crossed = -(self.probabilities * scores).sum(dim=-1)
        inside = (scores.exp() * self.follows).sum(dim=-1).clamp(max=ALMOST_ONE)
        return (self.weights * (crossed - self.ends * torch.log1p(-inside))).sum() / len(logits)


def batch_targets(examples: Sequence[Example], device: torch.device) -> Targets:
    """The examples' targets, aligned with the places of :func:`trees`."""
    alphabet = sorted({token for example in examples for place in example.places for token in place.tokens})
    column = {token: index for index, token in enumerate(alphabet)}
    places = max(len(example.places) for example in examples)
    probabilities = torch.zeros(len(examples), places, len(alphabet))
    follows = torch.zeros_like(probabilities, dtype=torch.bool)
    ends, weights = torch.zeros(len(examples), places), torch.zeros(len(examples), places)
    for row, example in enumerate(examples):
        for index, place in enumerate(example.places):
            columns = [column[token] for token in place.tokens]
            probabilities[row, index, columns] = torch.tensor(place.probabilities)
            follows[row, index, columns] = True
            ends[row, index], weights[row, index] = place.ends, place.weight
    parts = (torch.tensor(alphabet), probabilities, follows, ends, weights)
    return Targets(*(part.to(device) for part in parts))


def inputs_of(
    lm: LanguageModel, examples: Sequence[Example], kept: Kept | None, reply: Sequence[int]
) -> dict[str, Any]:
    """Arguments of the model's forward; logits come out as [rows, places, vocab].

    Args:
        kept: keys and values up to the reply; None: the whole conversations are computed.
        reply: the tokens from there to the confidence position; ignored without ``kept``.
    """
    continuations = [example.continuation for example in examples]
    places = 1 + max(continuation.size for continuation in continuations)
    if kept is None:
        prompts = pad_prompts([example.prompt for example in examples], lm.tokenizer.pad_token_id, lm.device)
        tail = trees(prompts, (), continuations)
        tokens = torch.cat([prompts.tokens, tail.tokens], dim=1)
        positions = torch.cat([prompts.positions, tail.positions], dim=1)
        mask = model_mask(lm, visibility(prompts, tail), positions, positions)
    else:
        tail = trees(kept.prompts, reply, continuations)
        tokens, positions = tail.tokens, tail.positions
        keys = torch.cat([kept.prompts.positions, positions], dim=1)
        mask = model_mask(lm, tail_visibility(kept.prompts, tail), positions, keys)
    columns = tokens.shape[1]
    return {
        "input_ids": tokens,
        "position_ids": positions,
        "attention_mask": mask,
        "past_key_values": None if kept is None else kept.cache,
        "use_cache": kept is not None,
        "logits_to_keep": torch.arange(columns - places, columns, device=lm.device),
    }


def trees(prompts: Prompts, chain: Sequence[int], continuations: Sequence[Continuation]) -> Tail:
    """Behind every prompt the same ``chain`` of tokens and the row's own tree behind it, trees padded to one size."""
    size = max(continuation.size for continuation in continuations)
    length = len(chain)
    tokens = torch.zeros(len(continuations), length + size, dtype=torch.long)
    depths = torch.full((len(continuations), length + size), length, dtype=torch.long)
    sees = torch.eye(length + size, dtype=torch.bool).repeat(len(continuations), 1, 1)
    tokens[:, :length] = torch.as_tensor(list(chain), dtype=torch.long)
    depths[:, :length] = torch.arange(length)
    sees[:, :length, :length] = torch.ones(length, length, dtype=torch.bool).tril()
    for row, continuation in enumerate(continuations):
        own = slice(length, length + continuation.size)
        tokens[row, own] = torch.as_tensor(continuation.tokens, dtype=torch.long)
        depths[row, own] = length - 1 + torch.as_tensor(continuation.depths(), dtype=torch.long)
        sees[row, own, :length] = True
        sees[row, own, own] = continuation.ancestry()
    device = prompts.tokens.device
    tokens, depths = tokens.to(device), depths.to(device)
    return Tail(
        tokens=tokens,
        positions=prompts.positions[:, -1:] + 1 + depths,
        prefix_end=torch.full_like(tokens, prompts.columns),
        sees=sees.to(device),
        birth=(FROM_START,) * (length + size),
        twin=torch.zeros_like(tokens),
    )
