"""Continue a batch of prompts from a filled cache, token by token, by a given rule that picks the
next token.

Rows end at a stop token; the loop ends when all rows have. Packed tail tokens that share the cache
stay invisible to what is generated. A picker is given the states after the final norm of the rows
still in the batch, their numbers in it, and the step, so that what it draws for a row need not
depend on the other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.dispatch import layer_devices
from workbench.models.finite import require_finite
from workbench.models.invocation import invoke_adapter_from
from workbench.models.moved_bytes import moved
from workbench.models.room import require_room_for
from workbench.trace.edge_cuts import EdgeCut, cut_layers
from workbench.trace.edits import ColumnWrite, hook_transforms
from workbench.trace.hooks import hooked, on_inputs
from workbench.trace.layout import Prompts, Tail
from workbench.trace.masks import model_mask

Pick = Callable[[Tensor, Tensor, int], Tensor]
"""(final states [live, width], row numbers [live], step) -> token ids [live]; step 0 is the token
after the first one.
"""
Writes = Callable[[Tensor, int], Sequence[ColumnWrite]]
"""(row numbers [live], step) -> what is written into the pass over the rows' last tokens, by place
in that pass. At step 0 these are the first generated tokens.
"""
Cuts = Callable[[Tensor, int], Sequence[EdgeCut]]
"""(row numbers [live], step) -> the attention edges that are hidden in that pass; keys are columns
counted from the prompts' first.
"""
Step = tuple[list[int], list[int]]
"""Row numbers, and the token that each of them goes on with."""


def pays_to_drop(left: int, rows: int) -> bool:
    """Return whether ended rows are taken out of a batch of ``rows`` of which ``left`` go on."""
    return 2 * left <= rows


def continued(
    lm: LanguageModel,
    prompts: Prompts,
    tail: Tail,
    first: Tensor,
    cache: Any,
    limit: int,
    stop: Tensor,
    pick: Pick,
) -> list[list[int]]:
    """Continue every prompt by the tokens that ``pick`` chooses.

    Args:
        tail: packed tokens whose keys follow the prompts in ``cache``; they are masked out.
        first: [rows] the first generated token of each row.
        cache: keys and values of prompts and tail.
        limit: most tokens generated per row, the first one included.
        stop: [vocab] bool; a row ends with the first of these tokens, which is kept.

    Returns:
        Token ids of each row.

    Raises:
        WorkbenchError: where a row goes on beyond what the model reads.
    """
    out: list[list[int]] = [[] for _ in first]
    for rows, tokens in continue_steps(lm, prompts, tail, first, cache, limit, stop, pick):
        for row, token in zip(rows, tokens, strict=True):
            out[row].append(token)
    return out


def continue_steps(
    lm: LanguageModel,
    prompts: Prompts,
    tail: Tail,
    first: Tensor,
    cache: Any,
    limit: int,
    stop: Tensor,
    pick: Pick,
    writes: Writes | None = None,
    cuts: Cuts | None = None,
) -> Iterator[Step]:
    """Continue every prompt as :func:`continued` does, and yield each step's tokens, the first ones
    included, as soon as they are chosen. Rows that have ended are in no step.

    Args:
        writes: states to write into the pass of each step.
        cuts: attention edges to hide in it.

    Raises:
        WorkbenchError: as there.
    """
    yield list(range(len(first))), first.tolist()
    live = _Live.of(prompts, tail, moved(first, prompts.tokens.device))
    spread = len(set(layer_devices(lm))) > 1
    for step in range(limit - 1):
        live = live.without(stop, cache, spread)
        if not len(live.rows):
            break
        live = live.stepped()
        require_room_for(lm, live.at, live.keys.shape[1])
        changes = () if writes is None else writes(live.rows, step)
        hidden_edges = () if cuts is None else cuts(live.rows, step)
        alive, before = [1] * lm.n_layers, live.keys.shape[1] - 1
        with (
            torch.no_grad(),
            invoke_adapter_from(lm, 0),
            hooked(lm, hook_transforms(lm, {}, None, changes)),
            on_inputs(lm, cut_layers(lm, hidden_edges, alive, {}, cached=before)),
        ):
            hidden = lm.decoder()(
                input_ids=live.token[:, None],
                attention_mask=model_mask(lm, live.visible[:, None, :], live.at, live.keys),
                position_ids=live.at + lm.architecture.first_position,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            require_finite(lm, hidden[:, -1])
            token = pick(hidden[:, -1], live.rows, step)
            live = replace(live, token=moved(token, live.rows.device))
        rows, tokens, ended = (part.tolist() for part in (live.rows, live.token, live.ended))
        going = [place for place, over in enumerate(ended) if not over]
        yield [rows[place] for place in going], [tokens[place] for place in going]


@dataclass(frozen=True)
class _Live:
    """The rows still in the batch: their number in it, their last token and its position ``at``,
    and the cached keys it sees.

    Rows that have ended stay until they are half of the batch, because taking rows out copies the
    cache.
    """

    rows: Tensor
    token: Tensor
    ended: Tensor
    at: Tensor
    visible: Tensor
    keys: Tensor

    @classmethod
    def of(cls, prompts: Prompts, tail: Tail, first: Tensor) -> _Live:
        hidden = torch.zeros((prompts.rows, tail.size), dtype=torch.bool, device=first.device)
        return cls(
            rows=torch.arange(prompts.rows, device=first.device),
            token=first,
            ended=torch.zeros_like(first, dtype=torch.bool),
            at=prompts.positions[:, -1:],
            visible=torch.cat([prompts.valid, hidden], dim=1),
            keys=torch.cat([prompts.positions, tail.positions], dim=1),
        )

    def without(self, stop: Tensor, cache: Any, spread: bool) -> _Live:
        """Return the rows whose last token does not end them. Ended rows stay as long as taking
        them out does not pay. ``spread``: the cache lies on several devices.
        """
        ended = self.ended | stop[self.token]
        left = torch.nonzero(~ended)[:, 0]
        if not pays_to_drop(len(left), len(ended)):
            return replace(self, ended=ended)
        if len(left):
            # Indices on the processor serve for keys on any device.
            cache.batch_select_indices(left.cpu() if spread else left)
        parts = (self.rows, self.token, ended, self.at, self.visible, self.keys)
        return _Live(*(part[left] for part in parts))

    def stepped(self) -> _Live:
        """Return the rows one column further."""
        at = self.at + 1
        visible = torch.cat([self.visible, torch.ones_like(self.visible[:, :1])], dim=1)
        return replace(self, at=at, visible=visible, keys=torch.cat([self.keys, at], dim=1))
