"""Stated confidence, the exact distribution behind it, and the states that carry it, from one forward.

For each conversation the packed forward scores the number trie's inner nodes behind the confidence position, records the
residual stream of every layer at the asked-for positions, and leaves a cache from which the text is generated. All three
readouts come from the same pass: ``expected`` is the mean of the distribution over the scale divided by the mass on
the scale; ``stated`` is parsed from the generated text, NaN where it is no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from workbench.elicit.conversation import Conversation, NumberPrefix
from workbench.elicit.greedy import greedy, stop_after_number
from workbench.elicit.parse import parse_confidence
from workbench.elicit.trie import child_log_probabilities, distribution
from workbench.models import LanguageModel
from workbench.models.unembed import unembed, unembed_reduced
from workbench.trace.continuation import continuation_tail, end_columns
from workbench.trace.forward import forward
from workbench.trace.layout import pad_prompts

STATED_TOKENS = 5


@dataclass(frozen=True)
class ConfidenceReading:
    """Readouts of one batch.

    Attributes:
        distribution: [rows, values] probability of each scale value.
        stated_text: generated text behind the confidence position.
        stated: [rows] share of certainty the text states, NaN for format failures.
        states: [rows, layers, positions, width] residual stream, or None.
    """

    distribution: NDArray[np.float64]
    stated_text: tuple[str, ...]
    stated: NDArray[np.float64]
    states: NDArray[np.float32] | None


def mass_on_scale(distribution: NDArray[np.floating]) -> NDArray[np.floating]:
    """Probability that the confidence is a number of the scale: [..., values] -> [...]."""
    return distribution.sum(axis=-1)


def expected_confidence(
    distribution: NDArray[np.floating], values: Sequence[int], certain: int
) -> NDArray[np.floating]:
    """Mean of the distribution, normalised to the scale, as a share of certainty: [..., values] -> [...]."""
    return distribution @ (np.asarray(values, dtype=np.float64) / certain) / mass_on_scale(distribution)


def read_confidence(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: NumberPrefix,
    certain: int,
    record: Sequence[str] = (),
) -> ConfidenceReading:
    """Read stated confidence, distribution and (for positions named in ``record``) states of one batch."""
    prompts = pad_prompts([c.tokens for c in conversations], lm.tokenizer.pad_token_id, lm.device)
    tail = continuation_tail(prompts, numbers.trie.continuation)
    nodes = end_columns(prompts, numbers.trie.continuation)
    columns = None
    if record:
        at = torch.as_tensor([[c.position(name) for name in record] for c in conversations])
        columns = prompts.column_of(at)
    result = forward(lm, prompts, tail, nodes, record=columns, cache=DynamicCache())
    scores = unembed_reduced(lm, result.final, lambda logits: child_log_probabilities(numbers.trie, logits))
    first = unembed(lm, result.final[:, 0]).argmax(dim=-1)
    tokens = greedy(lm, prompts, tail, first, result.cache, STATED_TOKENS, stop_after_number(lm))
    text = tuple(lm.tokenizer.decode(row, skip_special_tokens=True) for row in tokens)
    return ConfidenceReading(
        distribution=distribution(numbers.trie, scores.double().cpu().numpy()),
        stated_text=text,
        stated=np.asarray([parse_confidence(t, certain) for t in text]),
        states=None if result.recorded is None else result.recorded.float().cpu().numpy(),
    )
