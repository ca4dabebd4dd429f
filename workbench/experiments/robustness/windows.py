"""Read a taught model with its adapter on in some layers only: which layers move the confidence,
and which take back what others moved?

Four kinds of windows are read for a layer l: the adapter in the layers up to l (``below``), from l
on (``above``), in l alone (``single``), and in all but l (``without``). Shift = (mean reading -
base) / (tuned - base), 0 with the adapter off everywhere, 1 with it on everywhere. Where ``below``
passes 1 before the last layer, the layers after l push back; whether they push down by themselves,
``above`` and ``single`` say. ``slope`` is the slope over questions of the reading on the tuned
reading, less that of the base's: 1 where the questions differ as the tuned model's do, whatever the
level.

Unlike a patch at the confidence position, a window also changes the other tokens of the reply. The
shifts of single layers need not add up to 1: what is left over is interaction between layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.elicit.conversation import Conversation, ScaleTokens
from workbench.elicit.readout import expected_confidence
from workbench.elicit.reply_tokens import before_reply
from workbench.loop.confidence import confidence_conversations, fill_prefixes
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off, adapter_only_in
from workbench.models.unembed import unembed_reduced
from workbench.patch.controls import control_layers
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.batches import plan_batches
from workbench.trace.suffix import forward_suffix

KINDS: dict[str, Callable[[int, int], range | tuple[int, ...]]] = {
    "below": lambda layer, n_layers: range(layer + 1),
    "above": lambda layer, n_layers: range(layer, n_layers),
    "single": lambda layer, n_layers: (layer,),
    "without": lambda layer, n_layers: tuple(n for n in range(n_layers) if n != layer),
}
"""The layers in which the adapter is on, by the window's kind, layer and the model's layers."""


def read_windows(
    context: Run, stage: StageStore, *, taught: str, rows: NDArray[np.int64], layers: int
) -> dict[str, Any]:
    """Read the questions ``rows`` in every window, and save the table "windows": kind, layer, row,
    expected; kinds "base" and "tuned" have no layer (-1).

    Args:
        taught: the stage with the adapter, which acts on the reply.
        layers: how many layers, spread evenly.
    """
    reply, conversations = context.reply, confidence_conversations(context)
    assert reply is not None
    numbers = context.scale_tokens
    with context.with_adapter(taught) as tuned:
        fill_prefixes(context, tuned, conversations, rows)
        swept = control_layers(range(tuned.n_layers), layers)
        batches = plan_batches(
            [len(reply)] * len(rows),
            context.config.model.tokens_per_forward,
            numbers.trie.tree.size,
        )
        read = partial(_read_batch, context, tuned, conversations, rows, swept, reply, numbers)
        part = run_parts(stage, batches, read, "reading windows of layers")
    stage.save_table("windows", part.table)
    return {"layers": swept}


def _read_batch(
    context: Run,
    tuned: LanguageModel,
    conversations: Sequence[Conversation],
    rows: NDArray[np.int64],
    layers: Sequence[int],
    reply: tuple[int, ...],
    numbers: ScaleTokens,
    batch: NDArray[np.int64],
) -> Part:
    own = rows[batch]
    before = [before_reply(conversations[row], reply) for row in own]
    kept = context.reply_cache.kept(tuned, own, before)

    def expected() -> Floats:
        passed = forward_suffix(tuned, kept, [reply] * len(own), numbers.trie.tree)
        scores = unembed_reduced(tuned, passed.final, numbers.trie.readout)
        distribution = numbers.trie.distribution(scores)
        found = expected_confidence(distribution, numbers.scale.values, numbers.scale.certain)
        return np.asarray(found)

    with adapter_off(tuned):
        tables = [_table("base", -1, own, expected())]
    tables.append(_table("tuned", -1, own, expected()))
    for kind, window in KINDS.items():
        for layer in layers:
            with adapter_only_in(tuned, window(layer, tuned.n_layers)):
                tables.append(_table(kind, layer, own, expected()))
    return Part(pd.concat(tables, ignore_index=True), {})


def _table(kind: str, layer: int, rows: NDArray[np.int64], expected: Floats) -> pd.DataFrame:
    return pd.DataFrame({"kind": kind, "layer": layer, ROW: rows, "expected": expected})


def window_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Return kind, layer, shift and slope of every window, in the order of the layers."""
    wide = table.pivot_table(index=ROW, columns=["kind", "layer"], values="expected")
    base, tuned = wide["base", -1].to_numpy(), wide["tuned", -1].to_numpy()
    lines = []
    for kind in KINDS:
        for layer in wide[kind].columns:
            reading = wide[kind, layer].to_numpy()
            shift = (reading - base).mean() / (tuned - base).mean()
            slope = _slope(reading - base, tuned - base)
            lines.append({"kind": kind, "layer": int(layer), "shift": shift, "slope": slope})
    return pd.DataFrame(lines)


def _slope(one: Floats, other: Floats) -> float:
    centred = other - other.mean()
    return float((one - one.mean()) @ centred / (centred @ centred))
