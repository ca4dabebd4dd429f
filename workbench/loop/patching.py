"""Run the stage that patches tuned states into the base model at the confidence position, with
every control (:mod:`workbench.patch.controlled_sweep`).

Sweeps compute in the model's precision, whose noise the condition "own_base" measures. Packed sweep
and loop of hooked forwards are compared in float32, because a readout that moves with the kernel
would hide a difference between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.conversation import Conversation
from workbench.elicit.reply_tokens import before_reply
from workbench.loop.confidence import confidence_conversations, fill_prefixes
from workbench.loop.patched_items import patched_items, sweep_layers
from workbench.loop.run import Run
from workbench.models import LanguageModel, in_float32
from workbench.models.adapter_switch import adapter_off
from workbench.patch.controlled_sweep import ControlledSweep, SweepSettings, controlled_sweep
from workbench.patch.controls import sweep_positions
from workbench.patch.model_states import Beginnings, ModelState
from workbench.pipeline.store import StageStore, run_parts
from workbench.trace.prompt_cache import CachedPrompts


def patch(context: Run, stage: StageStore) -> dict[str, Any]:
    """Sweep every condition, and save the table "sweep" (condition, row, layer, base,
    donor, ...).
    """
    items = patched_items(context)
    with sweep_of_adapter(context, context.stage("teach"), items) as sweep:
        table = sweep.table(items, partial(run_parts, stage))
        with in_float32(sweep.tuned.lm):
            largest, spread = sweep.compare_with_loop(context.config.patch.n_reference)
    stage.save_table("sweep", table)
    return {"packed_vs_loop": largest, "loop_readout_spread": spread, "items": len(items)}


@contextmanager
def sweep_of_adapter(
    context: Run, taught: StageStore, items: NDArray[np.int64]
) -> Iterator[ControlledSweep]:
    """Yield the sweep of the questions ``items`` between the base model and the adapter of
    ``taught``, a teaching stage of any run on this model, with their states recorded.
    """
    config, lm, numbers = context.config, context.lm, context.scale_tokens
    everyone = confidence_conversations(context)
    conversations = [everyone[row] for row in items]
    reply = None if context.reply is None else len(context.reply)
    positions = sweep_positions(lm.tokenizer, context.fmt, conversations, reply, config.seed)
    settings = SweepSettings(
        sweep_layers(config.patch.layers, lm.n_layers),
        config.patch.control_layers,
        config.model.tokens_per_forward,
        config.seed,
    )
    with context.with_adapter_of(taught) as tuned:
        yield controlled_sweep(
            ModelState(tuned, lambda: adapter_off(tuned)),
            ModelState(tuned),
            [c.tokens for c in conversations],
            positions,
            numbers.trie,
            numbers.scale,
            settings,
            kept_beginnings(context, tuned, everyone, items),
        )


def kept_beginnings(
    context: Run,
    tuned: LanguageModel,
    conversations: Sequence[Conversation],
    items: NDArray[np.int64],
) -> Beginnings | None:
    """Return the keys and values of what precedes the reply, which earlier stages kept and an
    adapter on the reply leaves as they are; None for an adapter on the whole conversation.
    """
    reply = context.reply
    if reply is None or not tuned.architecture.packable:
        return None
    fill_prefixes(context, tuned, conversations, items)
    before = [before_reply(conversations[row], reply) for row in items]

    def beginnings(batch: NDArray[np.int64]) -> CachedPrompts:
        return context.reply_cache.kept(tuned, items[batch], [before[i] for i in batch])

    return beginnings
