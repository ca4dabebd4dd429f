"""Run the stage that patches tuned states into the base model at the confidence position, with
every control (:mod:`workbench.patch.controlled_sweep`).

Sweeps compute in the model's precision, whose noise the condition "own_base" measures. Packed sweep
and loop of hooked forwards are compared in float32, because a readout that moves with the kernel
would hide a difference between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.loop.confidence import confidence_conversations
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import in_float32
from workbench.models.adapter_switch import adapter_off
from workbench.patch.controlled_sweep import ModelState, SweepSettings, controlled_sweep
from workbench.patch.controls import sweep_positions
from workbench.pipeline.store import ROW, StageStore, run_parts


def patch(context: Run, stage: StageStore) -> dict[str, Any]:
    """Sweep every condition, and save the table "sweep" (condition, row, layer, base,
    donor, ...).
    """
    config, lm, numbers = context.config, context.lm, context.scale_tokens
    questions, _ = load_questions(context)
    items = choose_items(questions, config.patch.n_questions, config.seed)
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
    with context.with_adapter("teach") as tuned:
        base = ModelState(tuned, lambda: adapter_off(tuned))
        tokens = [c.tokens for c in conversations]
        sweep = controlled_sweep(
            base, ModelState(tuned), tokens, positions, numbers.trie, numbers.scale, settings
        )
        table = sweep.table(items, partial(run_parts, stage))
        with in_float32(tuned):
            largest, spread = sweep.compare_with_loop(config.patch.n_reference)
    stage.save_table("sweep", table)
    return {"packed_vs_loop": largest, "loop_readout_spread": spread, "items": len(items)}


def choose_items(questions: pd.DataFrame, items: int, seed: int) -> NDArray[np.int64]:
    """Draw rows of held-out questions, spread as evenly over domains as possible, fixed by the
    seed.
    """
    test = questions[questions["split"] == "test"]
    order = test.sample(frac=1, random_state=seed)
    rank = order.groupby("domain").cumcount()
    return np.sort(order.iloc[np.argsort(rank.to_numpy(), kind="stable")][ROW].to_numpy()[:items])


def sweep_layers(wanted: Sequence[int] | None, n_layers: int) -> list[int]:
    """Return the layers to sweep, ascending; all of them when none are asked for.

    Raises:
        WorkbenchError: for fewer than two layers, and layers the model does not have.
    """
    if wanted is None:
        return list(range(n_layers))
    if len(set(wanted)) < 2 or not {*wanted} <= {*range(n_layers)}:
        raise WorkbenchError(
            f"patch.layers is {list(wanted)}; give at least two layers from 0 to {n_layers - 1}, "
            "or leave it out for all."
        )
    return sorted(set(wanted))
