"""Layer sweeps of activation patching on the confidence readout.

For every layer the residual stream behind it, at one token, is replaced by a donor's state, and the exact confidence
distribution is read. Where a number takes several tokens, only the first is chosen at the confidence position; donors may
therefore bring the states of the number's further tokens too (the trie's nodes), so that the patched site is all of the
places the number is read from, and a patch behind the last layer gives exactly the donor's distribution. ``packed_sweep`` does all layers in one forward; ``loop_sweep`` runs one hooked forward per layer and
is the reference the packed result is tested against. Both return the same numbers to rounding.

A sweep says what a state *can* do where it is put. It does not say that the state is where the model reads the
information from in an unpatched run; the reverse sweep and the controls belong beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.readout import trie_tail
from workbench.elicit.trie import NumberTrie, child_log_probabilities, distribution
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_reduced
from workbench.patch.branches import layer_branches
from workbench.trace.forward import Write, forward
from workbench.trace.layout import pad_prompts


@dataclass(frozen=True)
class SweepReading:
    """Distributions of a sweep.

    Attributes:
        base: [rows, values] unpatched.
        patched: [rows, layers, values].
    """

    base: NDArray[np.float64]
    patched: NDArray[np.float64]


def packed_sweep(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    trie: NumberTrie,
    positions: Sequence[int],
    layers: Sequence[int],
    donors: Tensor,
) -> SweepReading:
    """Patch each prompt at its position behind every one of ``layers``, all in one forward.

    Args:
        prompts: token ids up to the confidence position.
        positions: token index patched in each prompt, 0 at its first token.
        donors: [rows, len(layers), width], or [rows, len(layers), 1 + nodes, width] to patch the whole number
            (see :func:`record_number`).
    """
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    starts = batch.column_of(torch.as_tensor(list(positions)))
    branches = layer_branches(batch, trie, starts, layers, _with_sites(donors).to(lm.device))
    read = branches.read
    result = forward(lm, batch, branches.tail, read.flatten(1), writes=branches.writes)
    final = result.final.reshape(batch.rows, read.shape[1], read.shape[2], -1)
    values = _distributions(lm, trie, final)
    return SweepReading(base=values[:, 0], patched=values[:, 1:])


def loop_sweep(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    trie: NumberTrie,
    positions: Sequence[int],
    layers: Sequence[int],
    donors: Tensor,
) -> SweepReading:
    """The same by one forward per layer, as the reference."""
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    starts = batch.column_of(torch.as_tensor(list(positions)))
    tail = trie_tail(batch, trie)
    read = torch.arange(batch.columns - 1, batch.columns + tail.size, device=lm.device).expand(batch.rows, -1)
    base = forward(lm, batch, tail, read).final
    donors = _with_sites(donors).to(lm.device)
    columns = starts[:, None] if donors.shape[2] == 1 else torch.cat([starts[:, None], read[:, 1:]], dim=1)
    patched = [
        forward(lm, batch, tail, read, writes=[Write(layer, columns, donors[:, i])]).final
        for i, layer in enumerate(layers)
    ]
    return SweepReading(
        base=_distributions(lm, trie, base),
        patched=np.stack([_distributions(lm, trie, final) for final in patched], axis=1),
    )


def record_number(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], trie: NumberTrie, positions: Sequence[Sequence[int]]
) -> Tensor:
    """States at each prompt's ``positions``, then at the trie's packed nodes: [rows, layers, positions + nodes, width]."""
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    tail = trie_tail(batch, trie)
    nodes = torch.arange(batch.columns, batch.columns + tail.size, device=lm.device).expand(batch.rows, -1)
    columns = torch.cat([batch.column_of(torch.as_tensor([list(row) for row in positions])), nodes], dim=1)
    recorded = forward(lm, batch, tail, columns[:, :1], record=columns).recorded
    assert recorded is not None
    return recorded


def _with_sites(donors: Tensor) -> Tensor:
    return donors[:, :, None] if donors.dim() == 3 else donors


def _distributions(lm: LanguageModel, trie: NumberTrie, final: Tensor) -> NDArray[np.float64]:
    scores = unembed_reduced(lm, final, lambda logits: child_log_probabilities(trie, logits))
    return distribution(trie, scores.double().cpu().numpy())
