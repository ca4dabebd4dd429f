"""Run prompts and the paths of a tree as plain token strings, without padding or packing.

This is for families whose layers carry a state from token to token. A row may hold nothing but its
string, so every path is a string of its own and only strings of equal length share a forward.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.token_tree import TokenTree


@dataclass(frozen=True)
class String:
    """The prompt of ``row`` and the path to ``node`` after it (-1: none)."""

    row: int
    node: int
    tokens: tuple[int, ...]


def strings_of(prompts: Sequence[Sequence[int]], tree: TokenTree) -> list[String]:
    """Return every prompt alone and with every path, row by row."""
    return [
        String(row, node, (*prompt, *(tree.tokens[step] for step in tree.path(node))))
        for row, prompt in enumerate(prompts)
        for node in range(-1, tree.size)
    ]


def equal_lengths(strings: Sequence[String], tokens_per_forward: int) -> Iterator[list[String]]:
    """Yield the batches of strings of one length, longest first, of at most ``tokens_per_forward``
    tokens or of one string.
    """
    for length in sorted({len(string.tokens) for string in strings}, reverse=True):
        same = [string for string in strings if len(string.tokens) == length]
        rows = max(1, tokens_per_forward // length)
        for start in range(0, len(same), rows):
            yield same[start : start + rows]


def rows_of_one_length(
    lengths: Sequence[int], most_rows: Callable[[int], int]
) -> Iterator[list[int]]:
    """Yield the batches of rows of one length, longest first, of at most ``most_rows(length)``
    rows.
    """
    for length in sorted(set(lengths), reverse=True):
        same = [row for row, own in enumerate(lengths) if own == length]
        most = most_rows(length)
        for start in range(0, len(same), most):
            yield same[start : start + most]


def token_at(string: String, position: int, length: int, tree: TokenTree) -> int | None:
    """Return the token of ``string`` that a position names, where the prompt has ``length`` tokens;
    None for a node on another path.
    """
    if position < length:
        return position
    path = tree.path(string.node)
    return length + path.index(position - length) if position - length in path else None


def states_by_string(
    prompts: Sequence[Sequence[int]],
    positions: Tensor,
    tree: TokenTree,
    batches: Callable[[list[String]], Iterable[list[String]]],
    states: Callable[[list[String], list[list[int]]], Tensor],
) -> Tensor:
    """Return the states [rows, sites, positions, width] at token ``positions`` [rows, n]; a node's
    are read on a string that ends in it.

    Args:
        batches: cuts strings into groups that share a forward.
        states: of strings and the tokens [strings, n] to record on each (0 where a string lacks the
            token): [strings, sites, n, width].
    """
    wanted = [
        string
        for string in strings_of(prompts, tree)
        if string.node < 0
        or bool((positions[string.row] == len(prompts[string.row]) + string.node).any())
    ]
    out: Tensor | None = None
    for batch in batches(wanted):
        tokens = [
            [token_at(s, p, len(prompts[s.row]), tree) for p in positions[s.row].tolist()]
            for s in batch
        ]
        found = states(batch, [[token or 0 for token in row] for row in tokens])
        if out is None:
            out = found.new_empty(len(prompts), *found.shape[1:])
        for index, (string, row) in enumerate(zip(batch, tokens, strict=True)):
            for place, token in enumerate(row):
                if token is not None:
                    out[string.row, :, place] = found[index, :, place]
    assert out is not None
    return out


def warn_unpackable(lm: LanguageModel) -> None:
    """Warn, once per model, that its branches run one by one."""
    _warn(lm, "is patched by one forward a branch, on rows of equal length")


def warn_unpadded(lm: LanguageModel) -> None:
    """Warn, once per model, that its branches continue from copies of states."""
    _warn(lm, "is run on rows of equal length, and branches from copies of their prompts' states")


def _warn(lm: LanguageModel, how: str) -> None:
    warning = f"{lm.architecture.family} {how}: {lm.architecture.why_not}."
    if warning not in lm.warned:
        lm.warned.add(warning)
        warnings.warn(warning, stacklevel=4)
