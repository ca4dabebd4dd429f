"""Make training examples: a conversation up to the confidence position, and what should follow
there.

What should follow is a small tree of tokens after the prompt with a next-token target at the
prompt's end and at each of its nodes. For a target that is text the tree is a chain: the number,
the scale's ending, the end of the turn, each with all probability on the next one. For a target
that is a distribution over the scale the tree is the part of the number trie to which the
distribution gives probability. Packed, the tree costs its nodes; the loss is taken at those places
alone.

The loss of a place is cross-entropy, -sum q log p over the tokens targeted there - ends log(1 - sum
p), where ``ends`` is the probability that none of them follows. Weighted by the probability of
reaching each place, these sum to the cross-entropy of the whole distribution over the scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.conversation import Conversation, ScaleTokens, number_tokens
from workbench.elicit.format import Format
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import Turn, encode, render
from workbench.trace.token_tree import TokenTree

UNREACHED = 1e-3
ENDING = 0.1


@dataclass(frozen=True)
class TokenTarget:
    """A next-token target: ``probabilities`` of ``tokens``, ``ends`` that none of them follows,
    and the loss's weight.
    """

    weight: float
    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    ends: float = 0.0

    def __post_init__(self) -> None:
        total = sum(self.probabilities) + self.ends
        if len(self.tokens) != len(self.probabilities) or not abs(total - 1) < 1e-6:
            raise WorkbenchError(
                f"A next-token target needs probabilities that sum to 1; these sum to {total:.6f}."
            )


@dataclass(frozen=True)
class Example:
    """A training example: ``places[0]`` is the target at the end of ``prompt``, ``places[1 + k]``
    that at node k of ``tree``.
    """

    prompt: tuple[int, ...]
    tree: TokenTree
    places: tuple[TokenTarget, ...]

    def __post_init__(self) -> None:
        if not self.prompt or len(self.places) != 1 + self.tree.size:
            raise WorkbenchError(
                "A training example needs prompt tokens and a target at the prompt's end and every "
                "node."
            )


def text_examples(
    tokenizer: Any,
    fmt: Format,
    numbers: ScaleTokens,
    conversations: Sequence[Conversation],
    targets: Sequence[float],
) -> list[Example]:
    """Return one example per conversation that writes its target, a value of the scale, and ends
    the turn.
    """
    ending = _ending_tokens(tokenizer, fmt)
    return [
        _chain(conversation.tokens, (*number_tokens(numbers, target), *ending))
        for conversation, target in zip(conversations, targets, strict=True)
    ]


def distribution_examples(
    tokenizer: Any,
    fmt: Format,
    numbers: ScaleTokens,
    conversations: Sequence[Conversation],
    targets: NDArray[np.floating],
) -> list[Example]:
    """Return one example per conversation whose distribution over the scale should be its row of
    ``targets`` [n, values].

    The most probable value is also followed by its ending and the end of the turn, with the weight
    ``ENDING``. The distribution itself says nothing about what follows a number with which no
    longer number of the scale begins, and there an adapter would drift into further digits.
    """
    ending = _ending_tokens(tokenizer, fmt)
    return [
        Example(
            conversation.tokens,
            *_with_ending(*_reached(numbers.trie, target), numbers.trie, target, ending),
        )
        for conversation, target in zip(conversations, targets, strict=True)
    ]


def scale_examples(
    tokenizer: Any,
    fmt: Format,
    numbers: ScaleTokens,
    conversations: Sequence[Conversation],
    seed: int,
) -> list[Example]:
    """Return one example per conversation with the number trie's inner nodes, in their order, for
    losses over the whole scale.

    The trie's places have weight 0 by themselves. A value drawn for each conversation is followed
    by its ending and the end of the turn, with the weight ``ENDING``, for the reason of
    :func:`distribution_examples`.
    """
    ending, trie = _ending_tokens(tokenizer, fmt), numbers.trie
    places = tuple(TokenTarget(0.0, children[:1], (1.0,)) for children in trie.children)
    drawn = np.random.default_rng(seed).integers(len(trie.values), size=len(conversations))
    return [
        Example(
            conversation.tokens,
            *_with_ending(trie.tree, places, trie, np.eye(1, len(trie.values), value)[0], ending),
        )
        for conversation, value in zip(conversations, drawn, strict=True)
    ]


def _chain(prompt: tuple[int, ...], target: tuple[int, ...]) -> Example:
    places = tuple(TokenTarget(1 / len(target), (token,), (1.0,)) for token in target)
    return Example(prompt, TokenTree(target[:-1], tuple(range(-1, len(target) - 2))), places)


def _reached(
    trie: ScaleTrie, target: NDArray[np.floating]
) -> tuple[TokenTree, tuple[TokenTarget, ...]]:
    """Return the trie's inner nodes to which the distribution gives probability, and the next-token
    target at each.
    """
    follows: list[dict[int, float]] = [dict.fromkeys(children, 0.0) for children in trie.children]
    ends = [0.0] * len(trie.inner)
    for (steps, end), probability in zip(trie.ends, target.tolist(), strict=True):
        for node, token in steps:
            follows[node][token] += probability
        if end >= 0:
            ends[end] += probability
    weights = [sum(tokens.values()) + end for tokens, end in zip(follows, ends, strict=True)]
    kept = [node for node, weight in enumerate(weights) if node == 0 or weight > UNREACHED]
    order = {node: index for index, node in enumerate(kept)}
    tree = TokenTree(
        tuple(trie.inner[node][-1] for node in kept[1:]),
        tuple(order[trie.parent[node]] - 1 for node in kept[1:]),
    )
    places = tuple(
        TokenTarget(
            weights[node],
            tuple(follows[node]),
            tuple(probability / weights[node] for probability in follows[node].values()),
            ends[node] / weights[node],
        )
        for node in kept
    )
    return tree, places


def _with_ending(
    tree: TokenTree,
    places: tuple[TokenTarget, ...],
    trie: ScaleTrie,
    target: NDArray[np.floating],
    ending: tuple[int, ...],
) -> tuple[TokenTree, tuple[TokenTarget, ...]]:
    """Return the tree with ``ending`` after its most probable value, as far as that value's tokens
    are in the tree.
    """
    steps, _ = trie.ends[int(np.argmax(target))]
    tokens, parents = list(tree.tokens), list(tree.parents)
    at, more = -1, list(places)
    for _, token in steps:
        child = next(
            (k for k, pair in enumerate(zip(tokens, parents, strict=True)) if pair == (token, at)),
            None,
        )
        if child is None:
            tokens.append(token)
            parents.append(at)
            child = len(tokens) - 1
        at = child
    if at < tree.size:
        return tree, places
    for token in ending[:-1]:
        tokens.append(token)
        parents.append(at)
        at = len(tokens) - 1
    more += [TokenTarget(ENDING, (token,), (1.0,)) for token in ending]
    return TokenTree(tuple(tokens), tuple(parents)), tuple(more)


def _ending_tokens(tokenizer: Any, fmt: Format) -> tuple[int, ...]:
    """Return the scale's ending and the token that ends an assistant turn, as they follow a
    number.

    Raises:
        WorkbenchError: if the tokenizer merges the number with the ending.
    """
    number = fmt.confidence_prefix + fmt.written(fmt.scale.texts[-1])
    opening = (Turn("user", fmt.confidence_question),)
    plain = encode(tokenizer, opening, number)
    ended = encode(tokenizer, opening, f"{number}{fmt.ending}")
    if ended[: len(plain)] != plain:
        raise WorkbenchError(
            f"The tokenizer merges the number with the ending {fmt.ending!r}; use another ending."
        )
    return (*ended[len(plain) :], _turn_end(tokenizer, fmt))


def _turn_end(tokenizer: Any, fmt: Format) -> int:
    """Return the token the chat template puts after an assistant turn; the tokenizer's end token
    where it puts none.
    """
    marker = f"{fmt.confidence_prefix} 0"
    turns = (Turn("user", "?"), Turn("assistant", marker), Turn("user", "?"))
    _, _, rest = render(tokenizer, turns).rpartition(marker)
    following = tokenizer(rest, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    return next((t for t in following[:2] if t in special), tokenizer.eos_token_id)
