"""Lay out the tokens of one forward pass: prompts, and a tail of packed branches.

A batch of prompts is padded on the left, so the last prompt token of every row has the same column.
Where nothing follows the prompts they may be padded on the right instead. Then causality alone
hides the padding, and no mask is made. The *tail* follows the prompts: further tokens of each row
that share the prompt's keys and values but not each other's. A tail token sees the prompt columns
before its ``prefix_end`` and the tail tokens that ``attends_to`` names. With that, any number of
continuations or patched copies of a prompt's last tokens cost one forward (packing).

A tail token may be appended late: it then exists only after layer ``first_layer``, as a copy of the
unpatched token in ``source_column``. A branch patched at layer l equals that token up to layer l,
so computing it there would be wasted work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

FIRST_LAYER = -1


@dataclass(frozen=True)
class Prompts:
    """The prompts of one batch, padded on the left, or on the right where no tail follows them.

    Attributes:
        tokens: [rows, columns] token ids, padding where ``valid`` is false.
        valid: [rows, columns] bool.
        positions: [rows, columns] position ids, 0 at the first real token.
    """

    tokens: Tensor
    valid: Tensor
    positions: Tensor

    def __post_init__(self) -> None:
        if (
            not self.tokens.shape == self.valid.shape == self.positions.shape
            or self.tokens.dim() != 2
        ):
            raise WorkbenchError(
                "Prompt tokens, validity and positions must share one [rows, columns] shape."
            )

    @property
    def rows(self) -> int:
        return self.tokens.shape[0]

    @property
    def columns(self) -> int:
        return self.tokens.shape[1]

    @property
    def lengths(self) -> Tensor:
        """[rows] number of real tokens."""
        return self.valid.sum(dim=1)

    @property
    def causal(self) -> bool:
        """Whether causality alone hides the padding: every row starts at the first column."""
        return bool(self.valid[:, 0].all())

    def select(self, rows: Tensor) -> Prompts:
        """Return the prompts ``rows`` [n], each as often as it is named."""
        at = rows.to(self.tokens.device)
        return Prompts(self.tokens[at], self.valid[at], self.positions[at])

    def column_of(self, token_index: Tensor) -> Tensor:
        """Return the columns of tokens that are counted from their row's first token. The result
        has the shape of ``token_index`` ([rows, ...]).

        Raises:
            WorkbenchError: if a token lies outside its prompt.
        """
        pad = torch.zeros_like(self.lengths) if self.causal else self.columns - self.lengths
        index = token_index.to(pad.device)
        lengths = self.lengths.reshape(-1, *([1] * (index.dim() - 1)))
        if bool(((index < 0) | (index >= lengths)).any()):
            raise WorkbenchError(
                "A token position lies outside its prompt; count from 0 at the row's first token."
            )
        return index + pad.reshape(-1, *([1] * (index.dim() - 1)))


def pad_prompts(
    sequences: Sequence[Sequence[int]], pad_token: int, device: torch.device
) -> Prompts:
    """Lay token sequences out as one left-padded batch."""
    tokens, valid = _padded(sequences, pad_token, left=True)
    positions = (valid.cumsum(dim=1) - 1).clamp(min=0)
    return Prompts(tokens.to(device), valid.to(device), positions.to(device))


def pad_right(sequences: Sequence[Sequence[int]], pad_token: int, device: torch.device) -> Prompts:
    """Lay token sequences out as one right-padded batch, for passes without a tail.

    Position ids count on over the padding, because a model takes tokens after a break in them for
    another sequence.
    """
    tokens, valid = _padded(sequences, pad_token, left=False)
    positions = torch.arange(tokens.shape[1], device=device).expand(len(tokens), -1)
    return Prompts(tokens.to(device), valid.to(device), positions)


def _padded(
    sequences: Sequence[Sequence[int]], pad_token: int, *, left: bool
) -> tuple[Tensor, Tensor]:
    """Return token ids and which of them are real, [rows, longest] each.

    Raises:
        WorkbenchError: if there is no prompt, or an empty one.
    """
    if not sequences or min(len(s) for s in sequences) == 0:
        raise WorkbenchError("A batch needs at least one prompt, and no prompt may be empty.")
    columns = max(len(s) for s in sequences)
    tokens = torch.full((len(sequences), columns), pad_token, dtype=torch.long)
    valid = torch.zeros((len(sequences), columns), dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        at = slice(columns - len(sequence), columns) if left else slice(len(sequence))
        tokens[row, at] = torch.as_tensor(list(sequence), dtype=torch.long)
        valid[row, at] = True
    return tokens, valid


def join_prompts(beginnings: Prompts, rests: Prompts) -> Prompts:
    """Return every prompt followed by its rest. Padding of a rest stays where it is, between the
    two.
    """
    return Prompts(
        torch.cat([beginnings.tokens, rests.tokens], dim=1),
        torch.cat([beginnings.valid, rests.valid], dim=1),
        torch.cat([beginnings.positions, rests.positions + beginnings.lengths[:, None]], dim=1),
    )


def without_last(prompts: Prompts, count: int) -> Prompts:
    """Return every prompt without its last ``count`` tokens."""
    kept = slice(0, prompts.columns - count)
    return Prompts(prompts.tokens[:, kept], prompts.valid[:, kept], prompts.positions[:, kept])


@dataclass(frozen=True)
class Tail:
    """Packed tokens after the prompts; the global column of tail token k is ``prompts.columns +
    k``.

    Attributes:
        tokens: [rows, k] token ids.
        positions: [rows, k] position ids.
        prefix_end: [rows, k] the tail token sees prompt columns < prefix_end.
        attends_to: [1 or rows, k, k] bool, query first; a tail token must see itself.
        first_layer: the layer after which each tail token exists, FIRST_LAYER for all layers; never
            decreasing.
        source_column: [rows, k] global column that a token appended late is copied from; ignored
            for tokens that exist from the start.
    """

    tokens: Tensor
    positions: Tensor
    prefix_end: Tensor
    attends_to: Tensor
    first_layer: tuple[int, ...]
    source_column: Tensor

    def __post_init__(self) -> None:
        size = len(self.first_layer)
        shapes = {
            tuple(t.shape)
            for t in (self.tokens, self.positions, self.prefix_end, self.source_column)
        }
        if len(shapes) != 1 or self.tokens.dim() != 2 or self.tokens.shape[1] != size:
            raise WorkbenchError(
                "Tail tokens, positions, prefix ends and source columns must share one [rows, k] "
                "shape."
            )
        fits = self.attends_to.dim() == 3 and self.attends_to.shape[0] in (1, self.tokens.shape[0])
        if not fits or tuple(self.attends_to.shape[1:]) != (size, size):
            raise WorkbenchError("The tail's visibility must be [1 or rows, k, k].")
        if not bool(self.attends_to.diagonal(dim1=1, dim2=2).all()):
            raise WorkbenchError("Every tail token must see itself.")
        if any(a > b for a, b in zip(self.first_layer, self.first_layer[1:], strict=False)):
            raise WorkbenchError("Tail tokens must be ordered by their first layer.")

    @property
    def size(self) -> int:
        return len(self.first_layer)


def empty_tail(prompts: Prompts) -> Tail:
    """Return a tail of no tokens: the plain forward."""
    none = prompts.tokens[:, :0]
    return Tail(
        none, none, none, torch.zeros((1, 0, 0), dtype=torch.bool, device=none.device), (), none
    )
