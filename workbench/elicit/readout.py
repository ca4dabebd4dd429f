"""Read the stated confidence, the exact distribution it comes from, and the states that carry it,
from one forward.

For each conversation the packed forward scores the number trie's inner nodes after the confidence
position, records the residual stream of every layer at the asked-for positions, and fills a cache
from which the text is generated. All three readouts come from the same pass: ``expected`` is the
mean of the distribution over the scale divided by the mass on the scale; ``stated`` is parsed from
the generated text, NaN where it states nothing on the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache, DynamicCache

from workbench.elicit.answer import CacheCallback
from workbench.elicit.conversation import Conversation, ScaleTokens
from workbench.elicit.greedy import greedy, most_probable, stop_after_number, stop_at_newline
from workbench.elicit.parse import parse_confidence
from workbench.elicit.unpadded import continue_unpadded, run_unpadded
from workbench.models import LanguageModel
from workbench.models.finite import require_finite
from workbench.models.server import Server, require_weights_here, server_of
from workbench.models.unembed import unembed, unembed_reduced
from workbench.trace.forked import read_ends
from workbench.trace.forward import forward
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.prompt_cache import CachedPrompts
from workbench.trace.record import record_states
from workbench.trace.suffix import SuffixPass, forward_suffix
from workbench.trace.token_tree import end_columns, tree_tail

STATED_TOKENS = 5
CLOSING_TOKENS = 2


@dataclass(frozen=True)
class ConfidenceReading:
    """The readouts of one batch.

    Attributes:
        distribution: [rows, values] probability of each scale value.
        stated_text: the confidence as it is stated: what all texts of the scale begin with, and
            what is generated after it.
        stated: [rows] share of certainty the text states, NaN for format failures.
        states: [rows, layers, positions, width] residual stream, or None.
    """

    distribution: NDArray[np.float64]
    stated_text: tuple[str, ...]
    stated: NDArray[np.float64]
    states: NDArray[np.float32] | None

    def with_states(self, states: NDArray[np.float32] | None) -> ConfidenceReading:
        """Return the same readouts with other states."""
        return replace(self, states=states)


def stated_tokens(numbers: ScaleTokens) -> int:
    """Return how many tokens of a reply are generated: enough for the scale's longest text and what
    closes it.
    """
    return max(STATED_TOKENS, CLOSING_TOKENS + max(len(steps) for steps, _ in numbers.trie.ends))


def mass_on_scale(distribution: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the probability that the confidence is a number of the scale: [..., values] ->
    [...].
    """
    return distribution.sum(axis=-1)


def expected_confidence(
    distribution: NDArray[np.floating], values: Sequence[float], certain: float
) -> NDArray[np.floating]:
    """Return the mean of the distribution, normalised to the scale, as a share of certainty: [...,
    values] -> [...].
    """
    return (
        distribution
        @ (np.asarray(values, dtype=np.float64) / certain)
        / mass_on_scale(distribution)
    )


def read_confidence(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    record: Sequence[str] = (),
    keep: CacheCallback | None = None,
    kept: CachedPrompts | None = None,
) -> ConfidenceReading:
    """Read stated confidence, distribution and (for positions named in ``record``) states of one
    batch.

    Args:
        record: named positions, which must come after what is ``kept``.
        keep: called with the keys and values of the whole conversations.
        kept: keys and values of the conversations' beginnings, where they have been computed
            before.
    """
    server = server_of(lm)
    if server is not None:
        if keep is not None or kept is not None:
            require_weights_here(lm, "keeping keys and values")
        return _reading_of_server(lm, server, conversations, numbers, record)
    if not lm.architecture.packable and keep is None and kept is None:
        return _unpadded_reading(lm, conversations, numbers, record)
    passed = _passed(lm, conversations, numbers, record, kept)
    if keep is not None:
        keep(passed.cache, passed.prompts)
    return _reading(lm, passed.prompts, numbers, passed.final, passed.cache, passed.recorded)


def recompute_cache(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    keep: CacheCallback,
    kept: CachedPrompts | None = None,
) -> None:
    """Compute only what :func:`read_confidence` gives ``keep``, from the same pass and so the same
    to the bit.
    """
    passed = _passed(lm, conversations, numbers, (), kept)
    keep(passed.cache, passed.prompts)


def _passed(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    record: Sequence[str],
    kept: CachedPrompts | None,
) -> SuffixPass:
    tree = numbers.trie.tree
    at = (
        torch.as_tensor([[c.position(name) for name in record] for c in conversations])
        if record
        else None
    )
    if kept is not None:
        begun = kept.prompts.lengths.tolist()
        rests = [c.tokens[length:] for c, length in zip(conversations, begun, strict=True)]
        return forward_suffix(lm, kept, rests, tree, at)
    prompts = pad_prompts([c.tokens for c in conversations], lm.tokenizer.pad_token_id, lm.device)
    columns = None if at is None else prompts.column_of(at)
    tail, nodes = tree_tail(prompts, tree), end_columns(prompts, tree)
    result = forward(lm, prompts, tail, nodes, record=columns, cache=DynamicCache())
    return SuffixPass(prompts, result.final, result.recorded, result.cache)


def read_reply(
    lm: LanguageModel, kept: CachedPrompts, reply: Sequence[int], numbers: ScaleTokens
) -> ConfidenceReading:
    """Read the confidence from kept keys and values of what precedes the confidence reply, with the
    states at the confidence position.

    An adapter on a prompt's last tokens acts on the reply alone, so this is the whole pass such an
    adapter needs.

    Args:
        kept: the conversations up to the reply, read by the base model.
        reply: tokens of every conversation from there to the confidence position.
    """
    end = kept.prompts.lengths[:, None] + len(reply) - 1
    passed = forward_suffix(lm, kept, [reply] * kept.prompts.rows, numbers.trie.tree, end)
    return _reading(lm, passed.prompts, numbers, passed.final, passed.cache, passed.recorded)


def _reading(
    lm: LanguageModel,
    prompts: Prompts,
    numbers: ScaleTokens,
    final: Tensor,
    cache: Cache,
    recorded: Tensor | None,
) -> ConfidenceReading:
    nodes = tree_tail(prompts, numbers.trie.tree)

    def write(first: Tensor, limit: int, stop: Tensor) -> list[list[int]]:
        return greedy(lm, prompts, nodes, first, cache, limit, stop)

    return _of_states(lm, numbers, final, recorded, write)


def _unpadded_reading(
    lm: LanguageModel,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    record: Sequence[str],
) -> ConfidenceReading:
    """Read what :func:`read_confidence` reads with a model that no mask can pad: the scale, the
    states and the text each in passes of their own.
    """
    prompts = [conversation.tokens for conversation in conversations]
    whole = sum(map(len, prompts))
    final = read_ends(lm, prompts, tokens_per_forward=whole, tree=numbers.trie.tree)
    at = [[c.position(name) for name in record] for c in conversations]

    def write(first: Tensor, limit: int, stop: Tensor) -> list[list[int]]:
        run = run_unpadded(lm, prompts)
        return continue_unpadded(lm, run, first, limit, stop, most_probable(lm))

    return _of_states(lm, numbers, final, record_states(lm, prompts, at) if record else None, write)


def _of_states(
    lm: LanguageModel,
    numbers: ScaleTokens,
    final: Tensor,
    recorded: Tensor | None,
    write: Callable[[Tensor, int, Tensor], list[list[int]]],
) -> ConfidenceReading:
    """Return the reading of the states ``final`` [rows, 1 + nodes, width] at the confidence
    position and the scale's nodes; ``write`` continues the first stated tokens.
    """
    require_finite(lm, final)
    scores = unembed_reduced(lm, final, numbers.trie.readout)
    first = unembed(lm, final[:, 0]).argmax(dim=-1)
    tokens = write(first, stated_tokens(numbers), _stop(lm, numbers))
    return _of_scores(lm, numbers, scores, recorded, tokens)


def _reading_of_server(
    lm: LanguageModel,
    server: Server,
    conversations: Sequence[Conversation],
    numbers: ScaleTokens,
    record: Sequence[str],
) -> ConfidenceReading:
    """Read what :func:`read_confidence` reads of a model on a server, in one request."""
    trie = numbers.trie
    at = [[c.position(name) for name in record] for c in conversations]
    found = server.write(
        lm,
        [conversation.tokens for conversation in conversations],
        limit=stated_tokens(numbers),
        stop=_stop(lm, numbers),
        tree=trie.tree,
        asked=trie.tokens,
        positions=at if record else None,
    )
    return _of_scores(lm, numbers, found.asked, found.states, found.tokens)


def _stop(lm: LanguageModel, numbers: ScaleTokens) -> Tensor:
    return stop_at_newline(lm) if numbers.scale.reader == "words" else stop_after_number(lm)


def _of_scores(
    lm: LanguageModel,
    numbers: ScaleTokens,
    scores: Tensor,
    recorded: Tensor | None,
    tokens: Sequence[Sequence[int]],
) -> ConfidenceReading:
    """Return the reading of the trie's ``scores`` [rows, 1 + nodes, tokens], the states, and the
    generated ``tokens`` of each row.
    """
    require_finite(lm, scores)
    text = tuple(
        numbers.said + lm.tokenizer.decode(row, skip_special_tokens=True) for row in tokens
    )
    return ConfidenceReading(
        distribution=numbers.trie.distribution(scores),
        stated_text=text,
        stated=np.asarray([parse_confidence(t, numbers.scale) for t in text]),
        states=None if recorded is None else recorded.float().cpu().numpy(),
    )
