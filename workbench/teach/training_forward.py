"""Compute logits at the places of a batch of examples, without anything that a step cannot change
or does not use.

Left out are: what precedes an adapter that acts on the reply alone (its keys and values are kept),
the layers below an adapter that begins higher up (the states after them are kept), the tokens all
prompts begin with in every row but one, output projections and MLPs at padding, and in the last
layer at columns without a loss, and the unembedding there. Loss and gradients are those of plain
forwards of every row, to rounding. The model's own dropout, which a few old families have, is off
in what is kept.

A family whose layers carry a state from token to token has no mask that keeps a tree's branches
apart, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.compat_processes import process_count
from workbench.errors import WorkbenchError
from workbench.files.processes import launched_processes
from workbench.models import LanguageModel
from workbench.models.dispatch import layer_devices
from workbench.models.moved_bytes import moved
from workbench.models.room import require_room_for
from workbench.stream.layer_tape import repeated_around
from workbench.stream.model import stream_of
from workbench.stream.rounds import run_together
from workbench.teach.batch_layout import (
    Columns,
    conversation_columns,
    reply_columns,
    shared_columns,
)
from workbench.teach.checkpointed_layers import checkpoint_layers
from workbench.teach.examples import Example
from workbench.teach.lower_states import FrozenStates, own_states, placed
from workbench.teach.skip_columns import skip_unused_columns
from workbench.trace.batches import plan_batches
from workbench.trace.checks import require_masks
from workbench.trace.partial_forward import forward_from_layer, forward_to_layer
from workbench.trace.prefix_cache import PrefixCache, evaluating
from workbench.trace.prompt_cache import CachedPrompts, PromptCache
from workbench.trace.suffix import common_prefix


@dataclass(frozen=True, eq=False)
class Reply:
    """The scope of an adapter on the reply: it acts on ``tokens`` at every prompt's end and on what
    follows.

    Attributes:
        rows: number of each example in ``prefixes``.
        prefixes: keys and values of what precedes them, under the base model.
    """

    tokens: tuple[int, ...]
    rows: Sequence[int]
    prefixes: PrefixCache


def require_teachable(lm: LanguageModel) -> None:
    """Refuse a model whose trainings cannot be packed.

    Raises:
        WorkbenchError: for it.
    """
    if not lm.architecture.packable:
        raise WorkbenchError(
            f"{lm.architecture.family} cannot be taught here: {lm.architecture.why_not}; ask, "
            "probe and patch it (workbench elicit, trace, probe, patch), which need no masks"
        )
    require_masks(lm)


class Passes:
    """The passes of a training, by example number.

    Attributes:
        first: the layer at which the adapter begins; states below it come from kept ones, at most
            ``most_bytes`` of them.
        reply: where the adapter acts; None: on whole conversations.
        shared: tokens that are computed in one row for all.
        sizes: tokens that each example costs in a step, without the shared ones.
        extra_tokens: tokens of forward passes that the loss makes for each example; they are
            counted here and made there.
        checkpointing: layers are computed again on the way back.
        lengths: the part of ``sizes`` that is its prompt's. The order depends on these alone: the
            number of a target's nodes tells what it is, and a step with only one target trains a
            level only.
    """

    def __init__(
        self,
        lm: LanguageModel,
        examples: Sequence[Example],
        reply: Reply | None,
        first: int,
        most_bytes: int,
        extra_tokens: Sequence[int] = (),
        checkpointing: bool = False,
    ) -> None:
        require_teachable(lm)
        self.lm, self.examples, self.reply = lm, examples, reply
        self.first = first if lm.architecture.independent else 0
        self.checkpointing = checkpointing
        self.extra_tokens = extra_tokens or [0] * len(examples)
        # Where weights are shared out (FSDP), gradients through keys and values alone would not
        # bring a layer's weights back before its backward.
        shared_out = launched_processes() > 1 and process_count(lm.base()) == 1
        one_row = reply is None and not shared_out
        self.shared = common_prefix([example.prompt for example in examples]) if one_row else ()
        self.lengths = [self._length(example) for example in examples]
        self.sizes = [
            length + e.tree.size for length, e in zip(self.lengths, examples, strict=True)
        ]
        stream = stream_of(lm)
        self.frozen = FrozenStates(most_bytes, None if stream is None else stream.spill)
        self._shared_states: Tensor | None = None

    def _length(self, example: Example) -> int:
        return (
            len(example.prompt) - len(self.shared) if self.reply is None else len(self.reply.tokens)
        )

    def tokens(self, numbers: Sequence[int]) -> int:
        """Count the tokens a step computes for these examples: prompts or replies with their
        targets, the shared prefix once for each, and the passes of the loss.
        """
        return sum(
            self.sizes[number] + len(self.shared) + self.extra_tokens[number] for number in numbers
        )

    def fill(self, tokens_per_pass: int, description: str) -> None:
        """Compute the kept states of all examples, longest rows first, as far as there is room."""
        if self.first == 0:
            return

        def keep(batch: NDArray[np.int64]) -> None:
            if self.frozen.full:
                return
            numbers = batch.tolist()
            for number, states in zip(numbers, self._below(numbers), strict=True):
                self.frozen.keep(number, states)

        batches = plan_batches(self.sizes, tokens_per_pass)
        with evaluating(self.lm.model):
            run_together([partial(keep, batch) for batch in batches], description)

    def logits(self, model: Any, numbers: Sequence[int]) -> Tensor:
        """Return the logits [rows, places, vocab] at the examples' prompt ends and nodes, under
        ``model``: the language model's module or a wrapper of it.
        """
        columns, cache = self._columns(numbers, self.first)
        if not self.shared:
            return self._run(model, columns, cache, self._states(numbers, columns))
        begun = PromptCache(len(self.shared))
        below = None if self.first == 0 else self._shared_below()
        shared = partial(self._run, model, shared_columns(self.lm, self.shared), begun, below)
        states = self._states(numbers, columns)
        return run_together(
            [shared, partial(self._run, model, columns, begun.following(), states)]
        )[1]

    def _run(self, model: Any, columns: Columns, cache: Any, states: Tensor | None) -> Tensor:
        total = columns.tokens.shape[1]
        kept = 0 if cache is None else cache.get_seq_length()
        require_room_for(self.lm, columns.positions, total, kept)
        last = layer_devices(self.lm)[-1]  # where the places are chosen
        skipped = partial(skip_unused_columns, self.lm, columns.real, columns.places)
        with (
            forward_from_layer(self.lm, self.first, states),
            repeated_around(skipped),
            # The shared row's pass, which carries no loss, makes keys and values.
            checkpoint_layers(self.lm, self.first, skipped)
            if self.checkpointing and columns.places
            else nullcontext(),
        ):
            return model(
                input_ids=columns.tokens,
                position_ids=columns.positions + self.lm.architecture.first_position,
                attention_mask=columns.mask,
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=torch.arange(total - columns.places, total, device=last),
            ).logits.float()

    def _columns(self, numbers: Sequence[int], first: int) -> tuple[Columns, PromptCache | None]:
        """Return the rows' columns, and, for an adapter on the reply, keys and values of what
        precedes it from layer ``first`` on.
        """
        examples = [self.examples[number] for number in numbers]
        if self.reply is None:
            return conversation_columns(self.lm, examples, len(self.shared)), None
        kept = self._kept(self.reply, numbers, first)
        return reply_columns(self.lm, examples, kept, self.reply.tokens), kept.cache

    def _kept(self, reply: Reply, numbers: Sequence[int], first: int) -> CachedPrompts:
        rows = np.array([reply.rows[number] for number in numbers])
        before = [self.examples[number].prompt[: -len(reply.tokens)] for number in numbers]
        return reply.prefixes.kept(self.lm, rows, before, first)

    def _states(self, numbers: Sequence[int], columns: Columns) -> Tensor | None:
        """Return the states [rows, columns, width] after the layers below the adapter."""
        if self.first == 0:
            return None
        missing = [number for number in numbers if number not in self.frozen]
        anew = dict(zip(missing, self._below(missing), strict=True)) if missing else {}
        parts = [
            moved(anew[number], torch.device("cpu")) if number in anew else self.frozen[number]
            for number in numbers
        ]
        return placed(
            parts, columns.begins, columns.tokens.shape[1], layer_devices(self.lm)[self.first]
        )

    def _below(self, numbers: Sequence[int]) -> list[Tensor]:
        """Return the states [own columns, width] after layer ``first`` - 1 of some examples."""
        columns, cache = self._columns(numbers, 0)
        with torch.no_grad(), evaluating(self.lm.model):
            if self.shared:
                begun = PromptCache(len(self.shared))
                shared = partial(self._lower, shared_columns(self.lm, self.shared), begun)
                both = [shared, partial(self._lower, columns, begun.following())]
                self._shared_states, states = run_together(both)
            else:
                states = self._lower(columns, cache)
        return own_states(states, columns.begins, [self.sizes[number] for number in numbers])

    def _shared_below(self) -> Tensor:
        if self._shared_states is None:
            with evaluating(self.lm.model):
                self._shared_states = self._lower(shared_columns(self.lm, self.shared), None)
        return self._shared_states

    def _lower(self, columns: Columns, cache: Any) -> Tensor:
        return forward_to_layer(
            self.lm, self.first - 1, columns.tokens, columns.positions, columns.mask, cache
        )
