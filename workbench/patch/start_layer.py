"""Find the layer at which an adapter may begin, from a patching curve of the base model.

States of other questions are patched into the base model at the confidence position, after every
layer in turn, and the readout's slope on the donor's own readout is taken (*following*, see
:mod:`workbench.patch.effects`). After layers where that slope is near 0, the confidence of the
question has not come to this position yet. The layers above still have to bring it there. The rule
is that the adapter begins at the first layer after which the slope reaches
``teach.start_layer_slope``, so that all layers that bring a noticeable share of it are adapted, and
layer 0 if it never does.

What this does not show: how much an adapter below that layer, acting on earlier tokens, would have
added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from workbench.elicit.conversation import Conversation, ScaleTokens
from workbench.elicit.readout import expected_confidence
from workbench.models import LanguageModel
from workbench.patch.controls import derangement
from workbench.patch.effects import Sweep, following
from workbench.patch.sweep import layer_sweep_of_scale, record_number
from workbench.trace.batches import map_batches

NO_RESAMPLES = 1
"""The interval of the slope is not used."""


def find_start_layer(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    *,
    carried: float,
    tokens_per_forward: int,
    seed: int,
) -> int:
    """Patch the base model with other conversations' states and find the first layer that carries
    a noticeable share of their confidence.

    Args:
        carried: the slope from which on a share is noticeable.
    """
    sweep = base_donor_slopes(
        lm, conversations, numbers, tokens_per_forward=tokens_per_forward, seed=seed
    )
    slope, _ = following(sweep, resamples=NO_RESAMPLES, seed=seed)
    return first_layer_above(sweep.layers, slope.value, carried)


def first_layer_above(
    layers: NDArray[np.int64], donor_slope: NDArray[np.float64], carried: float
) -> int:
    """Find the first layer after which the slope is at least ``carried``; 0 if there is none."""
    reached = np.flatnonzero(donor_slope >= carried)
    return int(layers[reached[0]]) if len(reached) else 0


def base_donor_slopes(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    *,
    tokens_per_forward: int,
    seed: int,
) -> Sweep:
    """Patch the base model with its own states of other questions, at the confidence position,
    after every layer; return the sweep.
    """
    trie, scale = numbers.trie, numbers.scale
    prompts = [conversation.tokens for conversation in conversations]
    at = [conversation.confidence for conversation in conversations]
    layers, budget = list(range(lm.n_layers)), tokens_per_forward
    partner = derangement(len(prompts), seed)
    states = map_batches(
        [len(prompt) for prompt in prompts],
        budget,
        lambda rows: record_number(lm, [prompts[i] for i in rows], trie, [[at[i]] for i in rows]),
        trie.tree.size,
    )
    read = layer_sweep_of_scale(
        lm, prompts, trie, at, layers, states[torch.as_tensor(partner)], tokens_per_forward=budget
    )
    base, patched = (
        expected_confidence(part, scale.values, scale.certain).astype(np.float64)
        for part in (read.base, read.patched)
    )
    return Sweep(layers=np.asarray(layers), base=base, donor=base[partner], patched=patched)
