"""The stage that patches: tuned states into the base model at the confidence position, with every
control.

Sweeps compute in the model's precision; the condition "own_base" patches each state into itself
and so measures the noise that precision brings. The comparison of packed sweep and loop of hooked
forwards is always done in float32, because a readout that moves with the kernel would hide a
difference between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workbench.elicit.conversation import Conversation
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.loop.confidence import confidence_conversations
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel, in_float32
from workbench.patch.controls import (
    CONDITIONS,
    Condition,
    Recorded,
    control_layers,
    derangement,
    donor_readouts,
    donor_states,
)
from workbench.patch.sweep import ONE_BATCH, layer_sweep_of_scale, record_number
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.teach.adapter import adapter_off
from workbench.trace.backends import PACKED, Engine, engine
from workbench.trace.batches import plan_batches


def patch(context: Run, stage: StageStore) -> dict[str, Any]:
    """Sweep every condition; saves the table "sweep" (condition, row, layer, base, donor,
    patched).
    """
    config = context.config
    questions, _ = load_questions(context)
    items = choose_items(questions, config.patch.n_questions, config.seed)
    everyone = confidence_conversations(context)
    conversations = [everyone[row] for row in items]
    layers = _layers(config.patch.layers, context.lm.n_layers)
    positions = _positions(context, conversations, config.seed)
    with context.with_adapter("teach") as tuned:
        sweeps = _Sweeps(context, tuned, conversations, positions, layers, stage)
        table = sweeps.table(items)
        with in_float32(tuned):
            largest, spread = sweeps.compare_with_loop(config.patch.n_reference)
    stage.save_table("sweep", table)
    return {"packed_vs_loop": largest, "loop_readout_spread": spread, "items": len(items)}


def choose_items(questions: pd.DataFrame, items: int, seed: int) -> NDArray[np.int64]:
    """Rows of held-out questions, as evenly over domains as there are, fixed by the seed."""
    test = questions[questions["split"] == "test"]
    order = test.sample(frac=1, random_state=seed)
    rank = order.groupby("domain").cumcount()
    return np.sort(order.iloc[np.argsort(rank.to_numpy(), kind="stable")][ROW].to_numpy()[:items])


def _layers(wanted: Sequence[int] | None, n_layers: int) -> list[int]:
    """The layers to sweep, ascending; all of them when none are asked for."""
    if wanted is None:
        return list(range(n_layers))
    outside = [layer for layer in wanted if not 0 <= layer < n_layers]
    if outside or len(set(wanted)) < 2:
        raise WorkbenchError(
            f"patch.layers is {list(wanted)}; give at least two layers from 0 to {n_layers - 1}, "
            "or leave it out for all."
        )
    return sorted(set(wanted))


def _positions(context: Run, conversations: list[Conversation], seed: int) -> NDArray[np.int64]:
    """[items, 2] token indices: a random earlier one that the adapter acts on, and the confidence
    position.

    An adapter on the reply alone leaves everything before it as it is; a patch there changes
    nothing by construction, and is chosen only where the reply has no token but the confidence
    position.
    """
    rng = np.random.default_rng(seed)
    if context.reply is not None:
        starts = max(2, len(context.reply))
        return np.array(
            [
                [rng.integers(c.confidence + 1 - starts, c.confidence), c.confidence]
                for c in conversations
            ]
        )
    system = len(context.lm.tokenizer(context.fmt.system, add_special_tokens=False)["input_ids"])
    ends = [c.position("answer_end") for c in conversations]
    return np.array(
        [
            [rng.integers(min(system, end), end + 1), c.confidence]
            for end, c in zip(ends, conversations, strict=True)
        ]
    )


class _Sweeps:
    """One item set's states and readouts, swept condition by condition."""

    def __init__(
        self,
        context: Run,
        tuned: LanguageModel,
        conversations: list[Conversation],
        positions: NDArray[np.int64],
        layers: list[int],
        stage: StageStore,
    ) -> None:
        self.context, self.tuned, self.stage = context, tuned, stage
        self.tokens = [c.tokens for c in conversations]
        self.positions, self.layers = positions, layers
        self.trie = context.scale_tokens.trie
        self.partner = derangement(len(conversations), context.config.seed)
        with adapter_off(tuned):
            base = self._record()
        self.states = Recorded(base=base, tuned=self._record())

    def _record(self) -> torch.Tensor:
        lengths = [len(tokens) for tokens in self.tokens]
        out: torch.Tensor | None = None
        for batch in plan_batches(
            lengths, self.context.config.model.tokens_per_forward, len(self.trie.scored_tokens)
        ):
            states = record_number(
                self.tuned,
                [self.tokens[i] for i in batch],
                self.trie,
                self.positions[batch].tolist(),
            )
            out = torch.empty((len(lengths), *states.shape[1:])) if out is None else out
            out[torch.as_tensor(batch)] = states.float().cpu()
        assert out is not None
        return out

    def swept_layers(self, condition: Condition) -> list[int]:
        return (
            self.layers
            if condition.all_layers
            else control_layers(self.layers, self.context.config.patch.control_layers)
        )

    def sweep(
        self, condition: Condition, batch: NDArray[np.int64], method: Engine
    ) -> tuple[Any, Any]:
        """Expected confidence of ``batch``: unpatched [items] and patched [items, layers]."""
        layers = self.swept_layers(condition)
        donors = donor_states(
            condition, self.states, batch, self.partner, self.context.config.seed
        )[:, layers]
        at = self.positions[batch, 0 if condition.random_position else 1]
        arguments = (
            self.tuned,
            [self.tokens[i] for i in batch],
            self.trie,
            at.tolist(),
            layers,
            donors,
        )
        with nullcontext() if condition.into_tuned else adapter_off(self.tuned):
            reading = layer_sweep_of_scale(*arguments, tokens_per_forward=ONE_BATCH, engine=method)
        scale = self.context.fmt.scale
        base, patched = (
            expected_confidence(d, scale.values, scale.certain)
            for d in (reading.base, reading.patched)
        )
        return base, patched

    def table(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        """Tidy table of all conditions; ``rows`` names the items in the question table."""
        parts = {condition.name: self._condition(condition, rows) for condition in CONDITIONS}
        base = (
            parts["own_tuned"]
            .drop_duplicates("item")
            .set_index("item")["base"]
            .sort_index()
            .to_numpy()
        )
        tuned = (
            parts["reverse"]
            .drop_duplicates("item")
            .set_index("item")["base"]
            .sort_index()
            .to_numpy()
        )
        for condition in CONDITIONS:
            donor = donor_readouts(condition, base, tuned, self.partner)
            part = parts[condition.name]
            part["donor"] = donor[part["item"].to_numpy()]
        return pd.concat(parts.values(), ignore_index=True)

    def _condition(self, condition: Condition, rows: NDArray[np.int64]) -> pd.DataFrame:
        layers = self.swept_layers(condition)
        copied = max(len(t) - int(p[0]) for t, p in zip(self.tokens, self.positions, strict=True))
        branch = (copied if condition.random_position else 1) + len(self.trie.scored_tokens)
        lengths = [len(tokens) for tokens in self.tokens]
        budget = self.context.config.model.tokens_per_forward
        batches = plan_batches(lengths, budget, overhead=len(layers) * branch)

        def compute(batch: NDArray[np.int64]) -> Part:
            base, patched = self.sweep(condition, batch, PACKED)
            return Part(
                pd.DataFrame({ROW: batch, "base": base}), {"patched": patched.astype(np.float64)}
            )

        part = run_parts(
            self.stage, batches, compute, f"patching {condition.name.replace('_', ' ')}"
        )
        items = part.table[ROW].to_numpy()
        return pd.DataFrame(
            {
                "condition": condition.name,
                "item": np.repeat(items, len(layers)),
                ROW: np.repeat(rows[items], len(layers)),
                "layer": np.tile(layers, len(items)),
                "base": np.repeat(part.table["base"].to_numpy(), len(layers)),
                "patched": part.tensors["patched"].reshape(-1),
            }
        )

    def compare_with_loop(self, items: int) -> tuple[float, float]:
        """Largest packed-loop difference of the own sweep as a share of the scale, and the
        spread of its readouts.
        """
        own = CONDITIONS[0]
        batch = np.arange(min(items, len(self.tokens)))
        _, packed = self.sweep(own, batch, PACKED)
        _, loop = self.sweep(own, batch, engine("loop"))
        return float(np.abs(packed - loop).max()), float(np.ptp(loop))
